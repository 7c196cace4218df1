//! Which major version a server or a data directory is of, by its own word. A tag, a label or an
//! environment variable is a name that anybody gives.

use anyhow::{Context as _, Result};

use crate::docker::helper::Helper;

/// What a program of the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Such as `14.1 (Debian 14.1-1.pgdg110+1)` or `15rc1`.
    pub text: String,
    /// Such as 14; another one cannot open the data.
    pub major: u32,
}

impl Version {
    /// Asks the server in `image`, in a helper of `project`.
    ///
    /// # Errors
    /// When there is no such image, or no server in it.
    pub fn of_image(project: &str, image: &str) -> Result<Self> {
        let asking = || format!("asking {image} for its version");
        let said = Helper::new(project, image).cmd("exec postgres --version", &[]).read();
        Self::parse(&said.with_context(asking)?).with_context(asking)
    }

    /// Reads `postgres (PostgreSQL) 14beta2`, as `--version` prints it.
    fn parse(said: &str) -> Result<Self> {
        let text = said.split_once("(PostgreSQL) ").map(|(_, text)| text.trim());
        let version =
            text.and_then(|text| Some(Self { major: major(text)?, text: text.to_owned() }));
        version.with_context(|| format!("`{said}` names no version of PostgreSQL"))
    }
}

/// The major version of a text that begins with a version, as `PG_VERSION` in a data directory does.
pub fn major(text: &str) -> Option<u32> {
    let text = text.trim();
    text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_version_is_read() {
        for (text, expected) in [
            ("14.1 (Debian 14.1-1.pgdg110+1)", 14),
            ("14beta2", 14),
            ("15rc1", 15),
            ("17devel", 17),
            ("13.16", 13),
        ] {
            let version = Version::parse(&format!("postgres (PostgreSQL) {text}\n")).unwrap();
            assert_eq!((version.major, &*version.text), (expected, text));
        }
        for text in ["postgres", "postgres (PostgreSQL) devel", "mysqld  Ver 8.0.36"] {
            assert!(Version::parse(text).is_err(), "{text}");
        }
        assert_eq!((major("14\n"), major(""), major("x")), (Some(14), None, None));
    }
}
