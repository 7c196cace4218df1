//! What lies where a data directory should.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, Result};

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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(Found::Hidden),
        Err(error) => Err(error).with_context(|| format!("looking at {}", path.display())),
    }
}
