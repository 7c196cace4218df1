//! A program that is talked to: its stdin stays open while its stdout is read.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Cmd, Ends, Running, read_within};

/// Until a program that does not end by itself is stopped, once its stdin is closed.
const ENDING: Duration = Duration::from_secs(5);

/// A running program. Reading takes what it writes to stdout; dropping stops it.
#[derive(Debug)]
pub struct Dialogue {
    running: Running,
    stdin: Option<PipeWriter>,
    stdout: PipeReader,
    time_limit: Option<Duration>,
}

impl Cmd {
    /// Starts the program with a stdin that stays open. A read fails when the user interrupts, or
    /// when nothing comes within the command's time limit.
    ///
    /// # Errors
    /// When the program is missing or cannot be started.
    pub fn talk(&self) -> Result<Dialogue> {
        let (theirs, stdin) = io::pipe().context("making a pipe")?;
        let (stdout, ours) = io::pipe().context("making a pipe")?;
        let ends = Ends { stdin: Some(theirs.into()), stdout: Some(ours.into()) };
        let running = self.start(ends)?;
        Ok(Dialogue { running, stdin: Some(stdin), stdout, time_limit: self.time_limit })
    }
}

impl Dialogue {
    /// Writes `text` to its stdin.
    ///
    /// # Errors
    /// When it takes no input; its own words where it has failed.
    pub fn say(&mut self, text: &[u8]) -> Result<()> {
        self.write_all(text).map_err(|error| self.failure().unwrap_or(error.into()))
    }

    /// Ends the program; why it had failed, if it had.
    pub fn failure(&mut self) -> Option<anyhow::Error> {
        self.stdin = None;
        self.running.failure_within(ENDING)
    }
}

impl Read for Dialogue {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = self.time_limit;
        read_within(&mut self.stdout, buffer, limit)?
            .ok_or_else(|| io::Error::other(self.running.timed_out(limit.unwrap_or_default())))
    }
}

impl AsFd for Dialogue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }
}

impl Write for Dialogue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stdin_stays_open_while_the_answer_is_read() {
        // `cat` ends when its stdin does.
        let mut dialogue = Cmd::new("cat").talk().unwrap();
        dialogue.say(b"hello").unwrap();
        let mut answer = [0; 5];
        dialogue.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
        assert!(dialogue.failure().is_none());
    }

    #[test]
    fn a_silent_program_is_given_up_and_a_failed_one_named() {
        let limit = Duration::from_millis(150);
        let mut dialogue = Cmd::new("cat").time_limit(limit).talk().unwrap();
        let error = dialogue.read(&mut [0]).unwrap_err().to_string();
        assert!(error.contains("gave no answer"), "{error}");
        let script = "echo broken >&2; exit 3";
        let mut dialogue = Cmd::new("sh").args(["-c", script]).talk().unwrap();
        let error = dialogue.failure().unwrap().to_string();
        assert!(error.ends_with("failed with status 3\n--- stderr\nbroken"), "{error}");
    }
}
