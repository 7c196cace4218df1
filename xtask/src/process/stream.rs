//! Programs that run beside us while bytes go to them or come from them.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Cmd, Failure, Output, POLL, check_interrupted, terminate};

/// A program that runs beside us. Stopped when dropped.
#[derive(Debug)]
pub struct Running {
    cmd: Cmd,
    handle: duct::Handle,
}

/// Where a program's stdin or stdout goes while it runs.
#[derive(Debug, Default)]
pub struct Ends {
    /// Its stdin; what [`Cmd::stdin`] holds, or nothing, where left out.
    pub stdin: Option<OwnedFd>,
    /// Its stdout; captured where left out.
    pub stdout: Option<OwnedFd>,
}

impl Cmd {
    /// Starts the program and returns at once. Its stderr is kept for [`Running::finish`].
    ///
    /// # Errors
    /// When the program is missing or cannot be started.
    pub fn start(&self, ends: Ends) -> Result<Running> {
        let program = self.prepare()?;
        let expression = match ends.stdin {
            Some(stdin) => self.without_stdin(&program).stdin_file(stdin),
            None => self.expression(&program)?,
        };
        let expression = match ends.stdout {
            Some(stdout) => expression.stdout_file(stdout),
            None => expression.stdout_capture(),
        };
        let expression = expression.stderr_capture().unchecked();
        // Ctrl-C is ours to act on: the program ends when we stop it, or when its pipe closes.
        let expression = expression.before_spawn(|command| {
            std::os::unix::process::CommandExt::process_group(command, 0);
            Ok(())
        });
        let handle = expression.start().with_context(|| format!("starting `{self}`"))?;
        Ok(Running { cmd: self.clone(), handle })
    }
}

impl Running {
    /// Whether it has ended, well or not.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn has_ended(&self) -> Result<bool> {
        Ok(self.handle.try_wait().context("looking at the program")?.is_some())
    }

    /// Waits for its end and returns what it wrote. Stops it when the user interrupts.
    ///
    /// # Errors
    /// A [`super::ProcessError`] when its status is not 0; [`super::Interrupted`].
    pub fn finish(&self) -> Result<Output> {
        let output = loop {
            let waited = self.handle.wait_timeout(POLL).context("waiting for the program")?;
            if let Some(output) = waited {
                break Output::from(output);
            }
            if let Err(interrupted) = check_interrupted() {
                self.stop();
                return Err(interrupted);
            }
        };
        if output.success() {
            Ok(output)
        } else {
            Err(self.cmd.error(Failure::Status(output.status), &output.stderr).into())
        }
    }

    fn stop(&self) {
        for pid in self.handle.pids() {
            terminate(pid);
        }
        let started = Instant::now();
        while started.elapsed() < 20 * POLL {
            if matches!(self.handle.wait_timeout(POLL), Ok(Some(_)) | Err(_)) {
                return;
            }
        }
        let _ = self.handle.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended().unwrap_or(true) {
            self.stop();
        }
    }
}

/// A pipe's end whose waits end on Ctrl-C.
#[derive(Debug)]
pub struct PipeEnd(OwnedFd);

impl PipeEnd {
    /// Wraps either end of a pipe.
    ///
    /// # Errors
    /// When it is no open file.
    pub fn new(end: impl Into<OwnedFd>) -> io::Result<Self> {
        let end = end.into();
        let flags = rustix::fs::fcntl_getfl(&end)?;
        rustix::fs::fcntl_setfl(&end, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self(end))
    }

    /// Waits until something can be read or written, or the other end has gone; `false` after
    /// a tenth of a second without either.
    ///
    /// # Errors
    /// When the user interrupts or the pipe cannot be waited for.
    pub fn ready(&self, flags: PollFlags) -> io::Result<bool> {
        check_interrupted().map_err(io::Error::other)?;
        let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(POLL.subsec_nanos()) };
        match poll(&mut [PollFd::new(&self.0, flags)], Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for PipeEnd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PipeEnd {
    /// What can be read now; `None` after a tenth of a second without a byte. 0 is the end.
    ///
    /// # Errors
    /// As [`PipeEnd::ready`].
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.ready(PollFlags::IN)? {
            return Ok(None);
        }
        match rustix::io::read(&self.0, buffer) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            read => Ok(Some(read?)),
        }
    }
}

impl Read for PipeEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(read) = self.try_read(buffer)? {
                return Ok(read);
            }
        }
    }
}

impl Write for PipeEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            if self.ready(PollFlags::OUT)? {
                match rustix::io::write(&self.0, bytes) {
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    written => return Ok(written?),
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_through_a_program_and_its_end_is_seen() {
        let (their_stdin, ours) = io::pipe().unwrap();
        let (back, their_stdout) = io::pipe().unwrap();
        let ends = Ends { stdin: Some(their_stdin.into()), stdout: Some(their_stdout.into()) };
        let running = Cmd::new("sh").args(["-c", "tr a-z A-Z; echo done >&2"]).start(ends).unwrap();
        let mut ours = PipeEnd::new(ours).unwrap();
        ours.write_all(b"hello").unwrap();
        assert!(!running.has_ended().unwrap());
        drop(ours);
        let mut text = String::new();
        PipeEnd::new(back).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "HELLO");
        assert_eq!(running.finish().unwrap().stderr, "done\n");
    }

    #[test]
    fn a_program_that_fails_is_an_error_although_its_stream_ended_cleanly() {
        let (back, their_stdout) = io::pipe().unwrap();
        let ends = Ends { stdin: None, stdout: Some(their_stdout.into()) };
        let running = Cmd::new("sh").args(["-c", "echo part; exit 7"]).start(ends).unwrap();
        let mut text = String::new();
        PipeEnd::new(back).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "part\n");
        assert!(running.finish().unwrap_err().to_string().ends_with("failed with status 7"));
    }

    #[test]
    fn a_dropped_program_is_stopped() {
        let (back, their_stdout) = io::pipe().unwrap();
        let ends = Ends { stdin: None, stdout: Some(their_stdout.into()) };
        drop(Cmd::new("sleep").arg("600").start(ends).unwrap());
        let mut text = String::new();
        PipeEnd::new(back).unwrap().read_to_string(&mut text).unwrap();
    }
}
