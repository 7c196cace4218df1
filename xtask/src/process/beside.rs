//! Programs that run beside us while bytes go to them or come from them.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::interrupt::terminate;
use super::run::own_group;
use super::{Cmd, Failure, Output, POLL, ProcessError, check_interrupted};

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
            Some(stdin) => self.with_our_stdin(&program).stdin_file(stdin),
            None => self.expression(&program)?,
        };
        let expression = match ends.stdout {
            Some(stdout) => expression.stdout_file(stdout),
            None => expression.stdout_capture(),
        };
        let expression = own_group(expression.stderr_capture().unchecked());
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
        self.cmd.checked(output)
    }

    /// Waits for its end, stops it after `limit`; why it failed, where it has said so.
    pub fn failure_within(&self, limit: Duration) -> Option<anyhow::Error> {
        let ended = |limit| self.handle.wait_timeout(limit).ok().flatten().map(Output::from);
        let output = ended(limit).or_else(|| {
            self.stop();
            ended(POLL)
        });
        let output = output.filter(|output| !output.stderr.is_empty())?;
        self.cmd.checked(output).err()
    }

    /// The error that nothing came within the time limit.
    pub(super) fn timed_out(&self, limit: Duration) -> ProcessError {
        self.cmd.error(Failure::TimedOut(limit), "")
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

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use super::super::PipeEnd;
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
