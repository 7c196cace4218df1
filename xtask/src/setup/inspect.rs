//! What lies where a data directory should.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::host::user::Owner;
use crate::report::finding::Problem;

/// What lies where a data directory should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is missing.
    Nothing,
    /// A symbolic link, which Docker follows, but neither `mkdir` nor a purge.
    Link,
    /// A directory with its owner and mode.
    Directory(Owner, u32),
    /// Whatever lies in a directory into which we may not look.
    Hidden,
}

/// What tells a data directory in use from the empty one below, should its disk not be mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// It is a file system of its own.
    #[serde(default)]
    own_disk: bool,
    /// Something lies in it; nothing may be known of that where only root may look.
    #[serde(default)]
    holds: bool,
}

impl Presence {
    /// Of the directory `path` as it is.
    pub fn of(path: &Path) -> Self {
        let device = |path: &Path| fs::metadata(path).map(|facts| facts.dev()).ok();
        let own_disk = match (device(path), path.parent().and_then(device)) {
            (Some(inner), Some(outer)) => inner != outer,
            _ => false,
        };
        Self { own_disk, holds: is_empty(path) == Some(false) }
    }

    /// Whether what was in the directory `path` has gone. A server may have written nothing yet.
    pub fn is_over(self, path: &Path) -> bool {
        let now = Self::of(path);
        let is_there = path
            .symlink_metadata()
            .map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true);
        !is_there
            || (self.own_disk && !now.own_disk)
            || (self.holds && is_empty(path) == Some(true))
    }
}

/// Whether nothing lies in the directory `path`, or there is none; unknown where we may not look.
pub fn is_empty(path: &Path) -> Option<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Some(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(true),
        Err(_) => None,
    }
}

/// What lies at `path`.
///
/// # Errors
/// When it is a file, or may not be looked at.
pub fn inspect(path: &Path) -> Result<Found> {
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => {
            let owner = Owner { uid: facts.uid(), gid: facts.gid() };
            Ok(Found::Directory(owner, facts.mode() & 0o7777))
        }
        Ok(facts) if facts.is_symlink() => Ok(Found::Link),
        Ok(_) => {
            let found = format!("{} is a file where a directory should be", path.display());
            Err(Problem::prerequisite("data.directory", found).mend("move it away").into())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Found::Hidden),
        Err(error) => Err(error).with_context(|| format!("looking at {}", path.display())),
    }
}
