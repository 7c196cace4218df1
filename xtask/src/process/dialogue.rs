//! A program that is talked to: its stdin stays open while its stdout is read.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Cmd, Failure, POLL, check_interrupted};

/// A running program. Reading takes what it writes to stdout; dropping ends it.
#[derive(Debug)]
pub struct Dialogue {
    cmd: Cmd,
    child: Child,
    stdout: ChildStdout,
}

impl Cmd {
    /// Starts the program with a stdin that stays open. A read fails when the user interrupts, or
    /// when nothing comes within the command's time limit.
    ///
    /// # Errors
    /// When the program is missing or cannot be started.
    pub fn talk(&self) -> Result<Dialogue> {
        let mut command = self.command()?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting `{self}`"))?;
        let stdout = child.stdout.take().context("taking the program's stdout")?;
        Ok(Dialogue { cmd: self.clone(), child, stdout })
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
        drop(self.child.stdin.take());
        // It ends by itself once its stdin is closed, unless it hangs.
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && self.child.try_wait().is_ok_and(|end| end.is_none()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let status = self.child.wait().ok()?;
        let mut said = String::new();
        let _ = self.child.stderr.take()?.read_to_string(&mut said);
        let failed = !status.success() && !said.is_empty();
        failed.then(|| self.cmd.error(Failure::Status(status.code()), &said).into())
    }
}

impl Read for Dialogue {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = self.cmd.time_limit;
        read_within(&mut self.stdout, buffer, limit)?.ok_or_else(|| {
            let limit = limit.unwrap_or_default();
            io::Error::other(self.cmd.error(Failure::TimedOut(limit), ""))
        })
    }
}

impl AsFd for Dialogue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }
}

impl Write for Dialogue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.flush()
    }
}

/// Reads what comes from `source`; `None` when nothing comes within `limit`.
///
/// # Errors
/// When the user interrupts, or reading fails.
pub fn read_within(
    source: &mut (impl Read + AsFd),
    buffer: &mut [u8],
    limit: Option<Duration>,
) -> io::Result<Option<usize>> {
    let started = Instant::now();
    let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(POLL.subsec_nanos()) };
    loop {
        if poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&tick))? > 0 {
            return source.read(buffer).map(Some);
        }
        check_interrupted().map_err(io::Error::other)?;
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            return Ok(None);
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
