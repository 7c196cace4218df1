//! Backups: sets of objects, made while the services run, proven by verify and drill.

pub mod config;
pub mod create;
pub mod damaged;
pub mod deduplication;
pub mod drill;
pub mod examine;
#[cfg(test)]
pub(crate) mod example;
pub mod folder;
pub mod free_space;
pub mod health;
pub mod metrics;
pub mod object;
pub mod order;
pub mod origin;
pub mod progress;
pub mod proof;
pub mod prune;
pub mod restore;
pub mod server;
pub mod set;
pub mod settings;
pub mod signature;
pub mod stack_files;
pub mod tar;
pub mod throwaway;
pub mod undo_log;
mod unfinished;
pub mod unpack;
pub mod verify;

use anyhow::Result;

use crate::context::Context;
use crate::stack::Stack;

/// Finishes or undoes what an interrupted backup or restore of `stack` has left. Only for the
/// holder of the project's lock, after the left-over helpers have gone.
///
/// # Errors
/// When that cannot be done.
pub fn settle(cx: &Context, stack: &Stack) -> Result<()> {
    unfinished::settle(cx, stack)?;
    restore::settle(cx, stack)
}
