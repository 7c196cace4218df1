//! What a backup has changed in a running server until it is done: on record before it is
//! changed, so that the next run takes it back where this one was killed.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::set::PRIVATE;
use crate::host::files::{self, make_folder, read_optional, write_atomically};
use crate::stack::Stack;

/// What was changed, as its server has noted it. One at a time: services are backed up one after
/// another.
pub type Step = serde_json::Value;

/// Beside the journal of restores.
fn path(stack: &Stack) -> PathBuf {
    stack.data_dir().join("state").join(format!("{}-backup.json", stack.name()))
}

/// Notes it, before it is done.
///
/// # Errors
/// When it cannot be written.
pub fn record(stack: &Stack, step: &impl Serialize) -> Result<()> {
    let path = path(stack);
    let folder = path.parent().unwrap_or(&path);
    make_folder(folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
    let text = serde_json::to_string_pretty(step).context("writing what is unfinished")?;
    write_atomically(&path, text.as_bytes(), PRIVATE)
}

/// What is on record; `None` where everything was taken back.
///
/// # Errors
/// When the record is there but cannot be read.
pub fn recorded(stack: &Stack) -> Result<Option<Step>> {
    let path = path(stack);
    let Some(text) = read_optional(&path)? else { return Ok(None) };
    serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// It was taken back.
///
/// # Errors
/// When the record cannot be removed.
pub fn forget(stack: &Stack) -> Result<()> {
    let path = path(stack);
    match files::remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
