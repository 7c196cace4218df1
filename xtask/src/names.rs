//! Names out of documents that somebody else may have written: manifests, journals, records, labels
//! of containers. Each is a type of its own whose making is the check, so that no code that gets
//! one has to ask whether it is a path that leads elsewhere, or an option of a program.

use anyhow::{Result, ensure};

/// Longest name of a file.
const LONGEST: usize = 255;

/// Makes a type of text that was checked by `$fits`, as which it is read and written.
macro_rules! checked {
    ($(#[$doc:meta])* $visible:vis struct $name:ident: $what:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String")]
        $visible struct $name(String);

        impl TryFrom<String> for $name {
            type Error = anyhow::Error;

            fn try_from(text: String) -> anyhow::Result<Self> {
                let fits: fn(&str) -> bool = $fits;
                $crate::names::refuse_unless(fits(&text), &text, $what)?;
                Ok(Self(text))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = anyhow::Error;

            fn try_from(text: &str) -> anyhow::Result<Self> {
                Self::try_from(text.to_owned())
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<std::path::Path> for $name {
            fn as_ref(&self) -> &std::path::Path {
                self.0.as_ref()
            }
        }

        impl From<&$name> for String {
            fn from(name: &$name) -> Self {
                name.0.clone()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }
    };
}
pub(crate) use checked;

/// Fails unless `fits`; the words for text that is not `what`, which has its article.
pub(crate) fn refuse_unless(fits: bool, text: &str, what: &str) -> Result<()> {
    let start: String = text.chars().take(80).collect();
    ensure!(fits, "`{}` is not {what}", start.escape_debug());
    Ok(())
}

checked! {
    /// A service's, as Compose takes it; also the name of a folder.
    pub struct ServiceName: "the name of a service", is_word
}

checked! {
    /// A stack's; also the name of a folder.
    pub struct StackName: "the name of a stack", is_word
}

checked! {
    /// A compose project's.
    pub struct ProjectName: "the name of a project", is_project
}

checked! {
    /// A set's: `<UTC time>-<project>-<stack>`.
    pub struct SetId: "the name of a set", is_word
}

checked! {
    /// Where an object lies in the backup folder: `objects/<service>/<file>`.
    pub struct ObjectPath: "the path of an object", |text| {
        let parts: Vec<_> = text.split('/').collect();
        matches!(parts.as_slice(), ["objects", service, file] if is_word(service) && is_word(file))
    }
}

checked! {
    /// A SHA-256 in hexadecimal digits, as `sha256sum` prints it.
    pub struct Digest: "a SHA-256", |text| text.len() == 64 && is_hex(text)
}

checked! {
    /// An image's name, with a tag or digest, or its id.
    pub struct ImageReference: "the name of an image", |text| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "/:@._-+".contains(c);
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(fits)
            && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
    }
}

checked! {
    /// A container's full or short id.
    pub struct ContainerId: "the id of a container", |text| (12..=64).contains(&text.len()) && is_hex(text)
}

checked! {
    /// A path below a folder: no part of it leads up or is hidden.
    pub struct RelativePath: "a path below a folder", |text| text.split('/').all(is_word)
}

impl ObjectPath {
    /// Its service's folder.
    pub fn service(&self) -> &str {
        self.split('/').nth(1).unwrap_or_default()
    }

    /// Its file's name.
    pub fn file_name(&self) -> &str {
        self.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.ends_with(".age")
    }
}

/// Letters, digits and some marks, not at the beginning: no path, no hidden file, no option.
pub(crate) fn is_word(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+%=@~".contains(c))
}

/// What Compose takes for a project's name.
pub fn is_project(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= LONGEST
        && text.starts_with(fits)
        && text.chars().all(|c| fits(c) || c == '-' || c == '_')
}

fn is_hex(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What leads elsewhere, or is something else to a program that gets it.
    const HOSTILE: [&str; 16] = [
        "",
        ".",
        "..",
        "/",
        "/etc/x.d",
        "../../..",
        "a/../b",
        "a//b",
        "./a",
        ".hidden",
        "-rf",
        "--volume=/:/host",
        "a b",
        "a\nb",
        "a\0b",
        "a/../../../etc/passwd",
    ];

    fn none_is<'a, T: TryFrom<&'a str> + std::fmt::Debug>() {
        for text in HOSTILE {
            assert!(T::try_from(text).is_err(), "{text:?} is {}", std::any::type_name::<T>());
        }
    }

    #[test]
    fn nothing_hostile_is_a_name() {
        none_is::<ServiceName>();
        none_is::<StackName>();
        none_is::<ProjectName>();
        none_is::<SetId>();
        none_is::<ObjectPath>();
        none_is::<Digest>();
        none_is::<ImageReference>();
        none_is::<ContainerId>();
        none_is::<RelativePath>();
        let long = "a".repeat(LONGEST + 1);
        assert!(ServiceName::try_from(long.as_str()).is_err());
        for json in [r#""../x""#, "7", "null", r#"["postgres"]"#] {
            assert!(serde_json::from_str::<ServiceName>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn names_in_use_are() {
        for name in ["postgres", "node-exporter", "configuration", "my_app.1"] {
            let json = format!("\"{name}\"");
            let read: ServiceName = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
        for image in [
            "redis:6-alpine",
            "localhost:5000/supabase/postgres:14.1.0",
            "postgres@sha256:ab",
            "case-interview-offline/postgres:15",
        ] {
            assert!(ImageReference::try_from(image).is_ok(), "{image}");
        }
        for (path, fits) in [
            ("objects/postgres/20261123T131500Z-app-data.tar.zst", true),
            ("objects/postgres/.a.partial", false),
            ("objects/postgres/a/b", false),
            ("objects/postgres/../../etc/passwd", false),
            ("state/x/y", false),
        ] {
            assert_eq!(ObjectPath::try_from(path).is_ok(), fits, "{path}");
        }
        assert!(RelativePath::try_from("secrets/slack.url").is_ok());
        assert!(ProjectName::try_from("case-interview_2").is_ok());
        assert!(ProjectName::try_from("Case").is_err());
    }
}
