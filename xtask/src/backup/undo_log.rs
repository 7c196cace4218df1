//! What a backup has changed in a running server until it is done: on record before it is
//! changed, so that the next run takes it back where this one was killed.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::set::PRIVATE;
use super::source::prometheus::snapshot_name::SnapshotName;
use crate::host::files::{self, make_folder, write_atomically};
use crate::names::{ContainerId, ServiceName};
use crate::stack::Stack;

/// What was changed. One at a time: services are backed up one after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// A container stands still.
    Paused {
        /// Its id.
        container: ContainerId,
    },
    /// Prometheus was asked for a snapshot.
    Snapshot {
        /// The service.
        service: ServiceName,
        /// When, by its clock, in seconds since 1970.
        asked: i64,
        /// The snapshots that there were.
        before: Vec<String>,
        /// The snapshot's name, once it has said it.
        name: Option<SnapshotName>,
    },
}

/// Beside the journal of restores.
pub(super) fn path(stack: &Stack) -> PathBuf {
    stack.data_dir().join("state").join(format!("{}-backup.json", stack.name()))
}

/// Notes it, before it is done.
///
/// # Errors
/// When it cannot be written.
pub fn record(stack: &Stack, step: &Step) -> Result<()> {
    let path = path(stack);
    let folder = path.parent().unwrap_or(&path);
    make_folder(folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
    let text = serde_json::to_string_pretty(step).context("writing what is unfinished")?;
    write_atomically(&path, text.as_bytes(), PRIVATE)
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
