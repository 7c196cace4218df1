//! `infrastructure/backup.toml`, typed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::object::Keys;
use crate::host::followed;
use crate::host::signature::PublicKey;
use crate::report::finding::Problem;
use crate::report::units::Bytes;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where sets and objects lie; empty for `DATA_DIR/backups`.
    pub folder: PathBuf,
    /// Of zstd, 1 to 19.
    pub level: i32,
    /// Public keys for `age`; none for no encryption.
    pub recipients: Vec<String>,
    /// Keys of other machines whose sets are believed.
    #[serde(default)]
    pub signers: Vec<PublicKey>,
    /// The file with a private key that opens them, where this machine has it.
    #[serde(default)]
    pub identity: Option<PathBuf>,
    /// The largest table whose rows are counted.
    pub count_rows_below: Bytes,
    /// What `prune` keeps.
    pub keep: Keep,
}

/// How many sets stay: the newest, and the newest of each day, week and month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The newest.
    pub last: usize,
    /// Days that keep their newest.
    pub daily: usize,
    /// Weeks, from Monday, that keep their newest.
    pub weekly: usize,
    /// Months that keep their newest.
    pub monthly: usize,
}

impl Config {
    /// Reads the file below the repository's root.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense; the error shows the line.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join("infrastructure/backup.toml");
        let text = followed::text(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).map_err(|error| {
            Problem::prerequisite(
                "backup.config",
                format!("{} is malformed: {error:#}", path.display()),
            )
            .mend("correct the line, then run the command again")
            .into()
        })
    }

    /// Whether sets made here cannot be opened here.
    pub fn lacks_key(&self) -> bool {
        !self.recipients.is_empty() && self.identity.is_none()
    }

    /// What opens encrypted objects: the file `given` on the command line, or the configured one.
    pub fn keys(&self, given: Option<PathBuf>) -> Keys {
        Keys { identity: given.or_else(|| self.identity.clone()) }
    }

    fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        anyhow::ensure!((1..=19).contains(&config.level), "level is not between 1 and 19");
        for recipient in &config.recipients {
            anyhow::ensure!(
                recipient.starts_with("age1") || recipient.starts_with("ssh-"),
                "`{recipient}` is not a public key for age (age1… or ssh-…)"
            );
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_only_encrypts_is_known_as_such() {
        let shipped = include_str!("../../../infrastructure/backup.toml");
        let encrypting = shipped.replace("recipients = []", "recipients = [\"age1x\"]");
        assert!(Config::parse(&encrypting).unwrap().lacks_key());
        let with_key = encrypting.replace("# identity = ", "identity = ");
        let config = Config::parse(&with_key).unwrap();
        assert!(!config.lacks_key());
        assert_eq!(config.keys(None).identity, config.identity);
        let given = Some(PathBuf::from("/given"));
        assert_eq!(config.keys(given.clone()).identity, given);
    }

    #[test]
    fn mistakes_are_refused() {
        let shipped = include_str!("../../../infrastructure/backup.toml");
        let config = Config::parse(shipped).unwrap();
        assert!(config.recipients.is_empty() && !config.lacks_key());
        for (from, to, expected) in [
            ("level = 3", "level = 20", "not between 1 and 19"),
            ("recipients = []", "recipients = [\"mallory\"]", "is not a public key"),
            ("signers = []", "signers = [\"RWmallory\"]", "public key of minisign"),
            ("daily = 7", "daily = -1", "invalid value"),
            ("[keep]", "[keep]\nyearly = 1", "unknown field"),
        ] {
            let error = Config::parse(&shipped.replacen(from, to, 1)).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }
}
