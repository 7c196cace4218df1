//! Programs that run to their end while we wait.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::interrupt::{kill_group, terminate};
use super::{Cmd, Failure, Output, POLL, TAIL, check_interrupted, resolve};

impl Cmd {
    /// Runs to the end; a status other than 0 is no error.
    ///
    /// # Errors
    /// When the program is missing, cannot be started, or takes too long.
    pub fn output(&self) -> Result<Output> {
        let program = self.prepare()?;
        match self.time_limit {
            None => self.output_of_short(&program),
            Some(limit) => self.output_within(&program, limit),
        }
    }

    /// Runs to the end and returns stdout without the final line break.
    ///
    /// # Errors
    /// As [`Cmd::output`], and a [`super::ProcessError`] when the status is not 0.
    pub fn read(&self) -> Result<String> {
        let mut output = self.checked(self.output()?)?;
        output.stdout.truncate(output.stdout.trim_end_matches(['\r', '\n']).len());
        Ok(output.stdout)
    }

    /// Runs to the end for what it does.
    ///
    /// # Errors
    /// As [`Cmd::read`].
    pub fn run(&self) -> Result<()> {
        self.read().map(drop)
    }

    /// Runs and hands over each line of stdout and stderr as it comes. Stops the program when the
    /// user interrupts.
    ///
    /// # Errors
    /// As [`Cmd::read`]; the error repeats the last lines.
    pub fn each_line(&self, mut take: impl FnMut(&str)) -> Result<()> {
        let program = self.prepare()?;
        let reader = self.expression(&program)?.stderr_to_stdout().unchecked().reader();
        let reader = Arc::new(reader.with_context(|| format!("starting `{self}`"))?);
        // Bounded, so that a program that writes faster than we take waits.
        let (sender, lines) = mpsc::sync_channel(1024);
        let source = Arc::clone(&reader);
        let pump = std::thread::spawn(move || {
            let mut buffered = BufReader::new(&*source);
            let mut line = Vec::new();
            while buffered.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        let deadline = self.time_limit.map(|limit| (limit, Instant::now() + limit));
        let mut tail = VecDeque::new();
        let end = loop {
            let late = deadline.filter(|(_, deadline)| Instant::now() >= *deadline);
            let late = late.map(|(limit, _)| self.error(Failure::TimedOut(limit), "").into());
            if let Err(stop) = check_interrupted().and_then(|()| late.map_or(Ok(()), Err)) {
                reader.pids().into_iter().for_each(terminate);
                break Err(stop);
            }
            match lines.recv_timeout(POLL) {
                Ok(line) => {
                    take(&line);
                    tail.push_back(line);
                    tail.drain(..tail.len().saturating_sub(TAIL));
                }
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        drop(lines);
        let _ = pump.join();
        check_interrupted()?;
        end?;
        let status = reader.try_wait().context("waiting for the program")?;
        match status.map(|output| output.status) {
            Some(status) if !status.success() => {
                let tail: Vec<_> = tail.into();
                Err(self.error(Failure::Status(status.code()), &tail.join("\n")).into())
            }
            _ => Ok(()),
        }
    }

    /// Runs to the end, which an interrupt neither keeps from beginning nor cuts off. For what
    /// takes a moment and must be taken back.
    ///
    /// # Errors
    /// As [`Cmd::read`].
    pub fn clean_up(&self) -> Result<()> {
        let expression = self.expression(&resolve(&self.program)?)?;
        let expression = own_group(expression.stdout_null().stderr_capture().unchecked());
        let output = expression.run().with_context(|| format!("running `{self}`"))?;
        self.checked(Output::from(&output)).map(drop)
    }

    /// Runs with our own terminal, for programs that a person talks to. Returns the exit status,
    /// 128 plus the signal's number where one ended it.
    ///
    /// # Errors
    /// When the program is missing or cannot be started.
    pub fn interactive(&self) -> Result<i32> {
        use std::os::unix::process::ExitStatusExt;
        let expression = self.with_our_stdin(&self.prepare()?).unchecked();
        let status = expression.run().with_context(|| format!("starting `{self}`"))?.status;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    fn output_of_short(&self, program: &Path) -> Result<Output> {
        let shell = xshell::Shell::new().context("reading the current directory")?;
        if let Some(dir) = &self.dir {
            shell.change_dir(dir);
        }
        let mut command = shell.cmd(program).args(&self.args).quiet().ignore_status();
        for (name, value) in &self.env {
            command = command.env(name, value);
        }
        for name in &self.unset {
            command = command.env_remove(name);
        }
        if let Some(bytes) = &self.stdin {
            command = command.stdin(bytes);
        }
        let output = command.output().with_context(|| format!("running `{self}`"))?;
        check_interrupted()?;
        Ok(Output::from(&output))
    }

    fn output_within(&self, program: &Path, limit: Duration) -> Result<Output> {
        let expression = self.expression(program)?.stdout_capture().stderr_capture().unchecked();
        // `docker compose` dies with its plugin.
        let handle = own_group(expression).start().with_context(|| format!("starting `{self}`"))?;
        let deadline = Instant::now() + limit;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            if let Some(output) =
                handle.wait_timeout(rest.min(POLL)).context("waiting for the program")?
            {
                return Ok(Output::from(output));
            }
            let interrupted = check_interrupted();
            if interrupted.is_err() || rest.is_zero() {
                for pid in handle.pids() {
                    kill_group(pid);
                }
                let _ = handle.wait();
                interrupted?;
                return Err(self.error(Failure::TimedOut(limit), "").into());
            }
        }
    }

    pub(super) fn expression(&self, program: &Path) -> Result<duct::Expression> {
        let expression = self.with_our_stdin(program);
        Ok(match (&self.source, &self.stdin) {
            (Some(source), _) => source.expression(&resolve(&source.program)?)?.pipe(expression),
            (None, Some(bytes)) => expression.stdin_bytes(bytes.clone()),
            (None, None) => expression.stdin_null(),
        })
    }

    pub(super) fn with_our_stdin(&self, program: &Path) -> duct::Expression {
        let mut expression = duct::cmd(program, &self.args);
        for (name, value) in &self.env {
            expression = expression.env(name, value);
        }
        for name in &self.unset {
            expression = expression.env_remove(name);
        }
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        expression
    }

    /// What it left, unless its status is another than 0.
    pub(super) fn checked(&self, output: Output) -> Result<Output> {
        match output.success() {
            true => Ok(output),
            false => Err(self.error(Failure::Status(output.status), &output.stderr).into()),
        }
    }
}

/// In a process group of its own: a Ctrl-C on our terminal is ours to act on, and the program can
/// be ended with all that it has started.
pub(super) fn own_group(expression: duct::Expression) -> duct::Expression {
    expression.before_spawn(|command| {
        std::os::unix::process::CommandExt::process_group(command, 0);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::ProcessError;
    use super::*;

    fn failure(error: &anyhow::Error) -> Failure {
        error.downcast_ref::<ProcessError>().unwrap().failure
    }

    #[test]
    fn an_error_repeats_the_command_the_status_and_stderr_without_secrets() {
        let secret = crate::secret::Secret::new("s3cr3t-of-process");
        for limit in [None, Some(Duration::from_secs(20))] {
            let mut cmd = Cmd::new("sh")
                .args(["-c", "echo \"bad $PASSWORD\" >&2; exit 3"])
                .env("PASSWORD", secret.reveal());
            cmd.time_limit = limit;
            let error = cmd.read().unwrap_err();
            assert_eq!(failure(&error), Failure::Status(Some(3)));
            let text = error.to_string();
            assert!(text.ends_with("failed with status 3\n--- stderr\nbad ***"), "{text}");
        }
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = Cmd::new("no-such-program-here").read().unwrap_err();
        assert_eq!(error.to_string(), "no program `no-such-program-here` on the PATH");
    }

    #[test]
    fn a_time_limit_ends_the_program_and_what_it_started() {
        let started = Instant::now();
        let cmd = Cmd::new("sh").args(["-c", "sleep 60 & sleep 60"]);
        let error = cmd.time_limit(Duration::from_millis(200)).read().unwrap_err();
        assert!(matches!(failure(&error), Failure::TimedOut(_)));
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn lines_of_both_streams_come_as_they_are_written() {
        let mut lines = Vec::new();
        let script = "echo one; echo two >&2; printf three; exit 4";
        let error =
            Cmd::new("sh").args(["-c", script]).each_line(|line| lines.push(line.to_owned()));
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!(failure(&error.unwrap_err()), Failure::Status(Some(4)));
    }
}
