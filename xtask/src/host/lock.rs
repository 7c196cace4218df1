//! One lock a project, held by the process and by every program that it starts.
//!
//! The lock belongs to the open file, which children inherit: after `kill -9` it is free only
//! once the last of them has stopped. Nothing has to be cleaned up.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::files::{make_folder, open_shared};
use crate::process::check_interrupted;

/// A lock held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Another process holds the lock.
#[derive(Debug)]
pub struct Held {
    holder: String,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is at work on this project", self.holder)
    }
}

impl std::error::Error for Held {}

/// Whether to wait for whoever holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfHeld {
    /// Fail with a sentence that names the holder.
    Fail,
    /// Wait until it is free.
    Wait,
}

impl Lock {
    /// Takes the lock at `path`, saying in it that the command `what` holds it. `waiting` is called once
    /// with the holder's words before a wait begins.
    ///
    /// # Errors
    /// [`Held`] when another process holds it and `if_held` says to fail; when the folder is not writable.
    pub fn take(
        path: &Path,
        what: &str,
        if_held: IfHeld,
        waiting: impl FnOnce(&str),
    ) -> Result<Self> {
        if let Some(folder) = path.parent() {
            // The repository's owner's, also where root comes first.
            make_folder(folder, 0o755).with_context(|| format!("making {}", folder.display()))?;
        }
        let mut file =
            open_shared(path).with_context(|| format!("opening the lock {}", path.display()))?;
        let mut waiting = Some(waiting);
        while let Some(holder) = try_take(&mut file, path, what)
            .with_context(|| format!("locking {}", path.display()))?
        {
            if if_held == IfHeld::Fail {
                return Err(Held { holder }.into());
            }
            if let Some(waiting) = waiting.take() {
                waiting(&holder);
            }
            check_interrupted()?;
            std::thread::sleep(Duration::from_millis(50));
        }
        let flags = rustix::io::fcntl_getfd(&file).context("reading the lock's flags")?;
        rustix::io::fcntl_setfd(&file, flags - rustix::io::FdFlags::CLOEXEC)
            .context("handing the lock to children")?;
        Ok(Self { _file: file })
    }
}

/// Takes the lock and says so in it, or returns the holder's words.
fn try_take(file: &mut File, path: &Path, what: &str) -> std::io::Result<Option<String>> {
    let _gate = gate(path);
    match file.try_lock() {
        Ok(()) => {
            write_holder(file, what);
            Ok(None)
        }
        Err(TryLockError::WouldBlock) => Ok(Some(holder(file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Held while a lock in the same folder is taken and its words are written, so that whoever finds
/// it held reads the words of who holds it. A file system that cannot lock folders spoils only that.
fn gate(path: &Path) -> Option<File> {
    let folder = File::open(path.parent()?).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// For people only, so a failure to write (a file of another user) changes nothing.
fn write_holder(file: &mut File, what: &str) {
    let text = format!("`cargo xtask {what}` (process {})\n", std::process::id());
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match text.trim() {
        "" => "another command".to_owned(),
        _ if read.is_err() => "another command".to_owned(),
        text => text.to_owned(),
    }
}

/// Who holds the lock at `path`, without taking it or making the file.
pub fn held_by(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let _gate = gate(path);
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
        _ => None,
    }
}

/// Where the lock of `project` lies in `state`.
pub fn path(state: &Path, project: &str) -> PathBuf {
    state.join(format!("{project}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn take(path: &Path) -> Result<Lock> {
        Lock::take(path, "test", IfHeld::Fail, |_| {})
    }

    /// Programs that tests beside this one start hold its locks too, until they end.
    fn take_in_the_end(path: &Path) -> Lock {
        Lock::take(path, "test", IfHeld::Wait, |_| {}).unwrap()
    }

    #[test]
    fn a_second_taker_is_told_who_holds_it_and_succeeds_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), "project");
        assert_eq!(held_by(&path), None);
        let first = take(&path).unwrap();
        assert!(held_by(&path).unwrap().starts_with("`cargo xtask test`"));
        let error = take(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`cargo xtask test` (process {})", std::process::id())),
            "{error}"
        );
        drop(first);
        take_in_the_end(&path);
    }

    #[test]
    fn who_finds_it_held_is_always_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), "project");
        let takers = 8;
        let start = std::sync::Barrier::new(takers);
        let told: Vec<_> = std::thread::scope(|scope| {
            let taker = |number| {
                let (path, start) = (&path, &start);
                scope.spawn(move || {
                    start.wait();
                    let mine = Lock::take(path, &format!("taker {number}"), IfHeld::Fail, |_| {});
                    // Nobody lets go before everybody has tried.
                    start.wait();
                    mine.map(|_| number).map_err(|error| error.to_string())
                })
            };
            let running: Vec<_> = (0..takers).map(taker).collect();
            running.into_iter().map(|taker| taker.join().unwrap()).collect()
        });
        let winners: Vec<_> = told.iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{told:?}");
        for said in told.iter().filter_map(|told| told.as_ref().err()) {
            assert!(
                said.starts_with(&format!("`cargo xtask taker {}` (process", winners[0])),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_child_holds_it_on_after_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), "project");
        let lock = take(&path).unwrap();
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        drop(lock);
        assert!(take(&path).is_err(), "the child still runs");
        drop(child.stdin.take());
        child.wait().unwrap();
        take_in_the_end(&path);
    }
}
