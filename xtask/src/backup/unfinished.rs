//! What a backup has changed in a running server until it is done: on record before it is
//! changed, so that the next run takes it back where this one was killed.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::set::PRIVATE;
use super::source::prometheus::snapshot::{self, SnapshotName};
use crate::context::Context;
use crate::docker::docker;
use crate::host::files::{make_folder, read_optional, write_atomically};
use crate::names::{ContainerId, ServiceName};
use crate::plan::Plan;
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
fn path(stack: &Stack) -> PathBuf {
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
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Takes back what a killed backup of `stack` has left, and says so. Only for the holder of the
/// project's lock.
///
/// # Errors
/// When that cannot be done.
pub fn settle(cx: &Context, stack: &Stack) -> Result<()> {
    let path = path(stack);
    let Some(text) = read_optional(&path)? else { return Ok(()) };
    let step =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let mut plan = Plan::new();
    match &step {
        Step::Paused { container } => {
            let containers = cx.containers(stack)?;
            let its = containers.iter().find(|its| its.id.starts_with(&**container));
            if its.is_some_and(|its| its.state.status == "paused") {
                let resume = docker().args(["unpause", container]);
                plan.run("resume what an interrupted backup has left standing still", resume);
            }
        }
        Step::Snapshot { service, asked, before, name } => {
            let left = snapshot::left(stack, service, *asked, before, name.as_ref())?;
            if let Some((name, removal)) = left {
                let what =
                    format!("remove the snapshot {name}, which an interrupted backup has left");
                plan.run(what, removal);
            }
        }
    }
    if !plan.is_empty() {
        cx.execute(plan)?;
    }
    if cx.dry_run { Ok(()) } else { forget(stack) }
}
