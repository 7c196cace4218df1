//! How files are read that a person edits, in the repository, in `/etc` or at home, and the system's own:
//! they may be links, as a shared `.env` is. Everything else goes through `files`, which follows none.

#![allow(clippy::disallowed_methods, reason = "who reads what may be a link comes here")]

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{Mode, OFlags};

use super::kind::regular;

/// What stands in `path`.
///
/// # Errors
/// When it is no regular file, or cannot be read.
pub fn bytes(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path.as_ref())?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of `path`.
///
/// # Errors
/// As [`bytes()`], and when it is not text (UTF-8).
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    open(path.as_ref())?.read_to_string(&mut text)?;
    Ok(text)
}

/// The text of `path`, `None` where there is no such file.
///
/// # Errors
/// When it is there but cannot be read.
pub fn text_optional(path: &Path) -> Result<Option<String>> {
    match text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn open(path: &Path) -> io::Result<File> {
    // A device may act on being opened.
    regular(path, &rustix::fs::stat(path)?, OFlags::RDONLY)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    regular(path, &rustix::fs::fstat(&file)?, OFlags::RDONLY)?;
    Ok(file.into())
}
