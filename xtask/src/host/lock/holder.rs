//! Who holds a lock, in words that he writes into it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::host::followed;

/// What a holder adds when it lets go, while what it has started may still hold the lock.
const ENDED: &str = "ended";
/// Words are no longer.
const LONGEST: usize = 4096;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A command that runs.
    Command(String),
    /// What this command has started; it has ended itself.
    Ended(String),
    /// Somebody who has not said.
    Unknown,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command(command) => f.write_str(command),
            Self::Ended(command) => {
                write!(f, "what {command} has started; it has ended itself")
            }
            Self::Unknown => f.write_str("another program"),
        }
    }
}

impl Holder {
    /// As the lock's words have it. Who has just taken it may not have written yet: then they are those
    /// of the holder before, who has ended, and a second look finds others.
    pub(super) fn of(file: &File) -> Self {
        let mut bytes = vec![0; LONGEST];
        let read = file.read_at(&mut bytes, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(bytes.get(..read).unwrap_or_default());
        let Some((command, rest)) = text.split_once('\n') else { return Self::Unknown };
        let pid = command.rsplit_once("(process ").and_then(|(_, end)| end.strip_suffix(')'));
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else { return Self::Unknown };
        let command = command.to_owned();
        if rest.starts_with(ENDED) || !is_alive(pid) {
            Self::Ended(command)
        } else {
            Self::Command(command)
        }
    }
}

/// For people only, so a failure to write (a file of another user) changes nothing.
pub(super) fn write(file: &File, what: &str) {
    let text = words(what);
    let _ = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
}

/// As [`write()`].
pub(super) fn write_end(file: &File) {
    let end = file.metadata().map_or(0, |facts| facts.len());
    let _ = file.write_all_at(format!("{ENDED}\n").as_bytes(), end);
}

pub(super) fn words(what: &str) -> String {
    format!("`cargo xtask {what}` (process {})\n", std::process::id())
}

/// Whether a process runs; one that has ended and is not yet forgotten does not.
fn is_alive(pid: i32) -> bool {
    let Some(process) = Pid::from_raw(pid) else { return false };
    let state = followed::text(format!("/proc/{pid}/stat")).ok();
    let state = state.as_deref().and_then(|text| text.rsplit_once(") ")?.1.chars().next());
    !matches!(state, Some('Z' | 'X'))
        && matches!(test_kill_process(process), Ok(()) | Err(Errno::PERM))
}
