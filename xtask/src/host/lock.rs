//! One lock a project, held by the process and by every program that it starts.
//!
//! The lock belongs to the open file, which children inherit: after `kill -9` it is free only
//! once the last of them has stopped. Nothing has to be cleaned up. Nobody else than its owner and root
//! can open it, and so nobody else can hold it.

mod holder;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use self::holder::Holder;
use super::files::{self, make_folder, open_lock};
use crate::process::{check_interrupted, quote};

/// Between two looks whether it is free.
const POLL: Duration = Duration::from_millis(50);
/// A wait that is shorter is not worth a word.
const SILENT: Duration = Duration::from_secs(1);
/// For what a dead holder has started: it ends by itself.
const ENDING: Duration = Duration::from_secs(5);

/// A lock held until dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Somebody else holds the lock.
#[derive(Debug)]
pub struct Held {
    holder: Holder,
    path: PathBuf,
}

impl Held {
    /// What to do about it.
    pub fn mend(&self) -> String {
        match self.holder {
            Holder::Command(_) => "wait until it has ended, then run the command again".to_owned(),
            _ => {
                let path = quote(&self.path.to_string_lossy());
                format!(
                    "see who holds it: sudo fuser -v {path}; when that has ended, run the command again"
                )
            }
        }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.holder {
            Holder::Command(command) => write!(f, "{command} is at work on this project"),
            Holder::Ended(command) => {
                write!(f, "{command} has ended, but what it started still runs on this project")
            }
            Holder::Unknown => write!(f, "another program holds the lock {}", self.path.display()),
        }
    }
}

impl std::error::Error for Held {}

/// Whether to wait for whoever holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfHeld {
    /// Fail with a sentence that names the holder; what it has left running is waited for, some seconds.
    Fail,
    /// Wait until it is free.
    Wait,
}

impl Lock {
    /// Takes the lock at `path`, saying in it that the command `what` holds it. `waiting` is called with
    /// what is waited for, once that has taken a second.
    ///
    /// # Errors
    /// [`Held`] when another process holds it and `if_held` says to fail; `file.of-another-user`; when the
    /// folder is not writable, or the user interrupts.
    pub fn take(
        path: &Path,
        what: &str,
        if_held: IfHeld,
        waiting: impl Fn(&Holder),
    ) -> Result<Self> {
        let file = open(path).map_err(|error| files::explain(error, path))?;
        let started = Instant::now();
        let mut told = None;
        while !is_taken(&file).with_context(|| format!("locking {}", path.display()))? {
            check_interrupted()?;
            let (holder, waited) = (Holder::of(&file), started.elapsed());
            let patience = match (if_held, &holder) {
                (IfHeld::Wait, _) => Duration::MAX,
                (IfHeld::Fail, Holder::Command(_)) => Duration::ZERO,
                (IfHeld::Fail, _) => ENDING,
            };
            if waited >= patience {
                return Err(Held { holder, path: path.to_owned() }.into());
            }
            if waited >= SILENT && told.as_ref() != Some(&holder) {
                waiting(&holder);
                told = Some(holder);
            }
            std::thread::sleep(POLL);
        }
        holder::write(&file, what);
        let flags = rustix::io::fcntl_getfd(&file).context("reading the lock's flags")?;
        rustix::io::fcntl_setfd(&file, flags - rustix::io::FdFlags::CLOEXEC)
            .context("handing the lock to children")?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        holder::write_end(&self.file);
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        make_folder(folder, 0o700)?;
    }
    open_lock(path)
}

fn is_taken(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Who holds the lock at `path`, without taking it or making the file.
pub fn held_by(path: &Path) -> Option<Holder> {
    let file = files::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(Holder::of(&file)),
        _ => None,
    }
}

/// Where the lock of `project` lies in `state`.
pub fn path(state: &Path, project: &str) -> PathBuf {
    state.join(format!("{project}.lock"))
}

#[cfg(test)]
mod tests;
