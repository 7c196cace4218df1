//! Version numbers as engines and Composes print them.

use anyhow::Result;

/// `20.10.24+dfsg1`, `v2.40.3`, `24.0` and the like as a version.
///
/// # Errors
/// When `text` begins with no version.
pub(super) fn parse_version(text: &str) -> Result<semver::Version> {
    let numbers: Vec<_> = text
        .trim()
        .trim_start_matches('v')
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse::<u64>().ok())
        .take(3)
        .collect();
    let (Some(major), minor, patch) = (numbers.first(), numbers.get(1), numbers.get(2)) else {
        anyhow::bail!("`{text}` is not a version");
    };
    Ok(semver::Version::new(*major, minor.copied().unwrap_or(0), patch.copied().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_read() {
        for (text, expected) in [
            ("20.10.24+dfsg1", "20.10.24"),
            ("v2.40.3", "2.40.3"),
            ("24.0", "24.0.0"),
            ("29.0.0-rc.1", "29.0.0"),
        ] {
            assert_eq!(parse_version(text).unwrap().to_string(), expected);
        }
        assert!(parse_version("dev").is_err());
    }
}
