//! The only place that starts a program.
//!
//! A [`Cmd`] is a plain value: a plan can print it before anything runs it. Short local programs
//! run through xshell; whatever needs a time limit or is read line by line runs through duct.

mod clean_up;
mod dialogue;
mod interrupt;
mod line;
mod outcome;
pub mod stream;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use self::dialogue::{Dialogue, read_within};
pub use self::interrupt::{Interrupted, check_interrupted, watch_signals};
use self::interrupt::{kill_group, terminate};
pub use self::line::quote;
pub use self::outcome::{Failure, Output, ProcessError};
use crate::secret::mask;

/// How often a wait looks whether the user has interrupted.
const POLL: Duration = Duration::from_millis(100);
/// Lines of output that an error repeats.
const TAIL: usize = 15;

static TRACE: OnceLock<fn(&Cmd)> = OnceLock::new();

/// Calls `trace` with every command before it runs (`--verbose`).
pub fn trace_with(trace: fn(&Cmd)) {
    let _ = TRACE.set(trace);
}

/// The full path of `program` on the PATH.
///
/// # Errors
/// [`Failure::NotFound`] as a [`ProcessError`].
pub fn find(program: &str) -> Result<PathBuf> {
    resolve(OsStr::new(program))
}

fn resolve(program: &OsStr) -> Result<PathBuf> {
    which::which(program).map_err(|_| {
        let command = program.to_string_lossy().into_owned();
        ProcessError { command, failure: Failure::NotFound, stderr: String::new() }.into()
    })
}

/// A program with its arguments. Secrets go through [`Cmd::env`] or [`Cmd::stdin`], never through
/// an argument, which everybody on the machine can read.
#[derive(Debug, Clone)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    unset: Vec<String>,
    dir: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    source: Option<Box<Cmd>>,
    time_limit: Option<Duration>,
}

impl Cmd {
    /// A command that runs `program`, found on the PATH.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            unset: Vec::new(),
            dir: None,
            stdin: None,
            source: None,
            time_limit: None,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable. Its value is never printed.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Hides an environment variable of ours from the program.
    pub fn without_env(mut self, name: &str) -> Self {
        self.unset.push(name.to_owned());
        self
    }

    /// Runs in `dir`.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Feeds `bytes` to stdin, which is empty otherwise. Never printed.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Feeds what `source` writes to stdin; the failure of either is a failure. For
    /// [`Cmd::each_line`].
    pub fn fed_by(mut self, source: Self) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Kills the program, with all that it started, after this time.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

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
    /// As [`Cmd::output`], and a [`ProcessError`] when the status is not 0.
    pub fn read(&self) -> Result<String> {
        let mut output = self.output()?;
        if !output.success() {
            return Err(self.error(Failure::Status(output.status), &output.stderr).into());
        }
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

    /// Runs with our own terminal, for programs that a person talks to. Returns the exit status,
    /// 128 plus the signal's number where one ended it.
    ///
    /// # Errors
    /// When the program is missing or cannot be started.
    pub fn interactive(&self) -> Result<i32> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.command()?.status().with_context(|| format!("starting `{self}`"))?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    /// As the standard library takes it, with our own terminal.
    fn command(&self) -> Result<std::process::Command> {
        let program = self.prepare()?;
        let mut command = std::process::Command::new(program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        for name in &self.unset {
            command.env_remove(name);
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        Ok(command)
    }

    fn prepare(&self) -> Result<PathBuf> {
        check_interrupted()?;
        if let Some(trace) = TRACE.get() {
            trace(self);
        }
        resolve(&self.program)
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
        // A group of its own, so that `docker compose` dies with its plugin.
        let expression =
            self.expression(program)?.stdout_capture().stderr_capture().unchecked().before_spawn(
                |command| {
                    std::os::unix::process::CommandExt::process_group(command, 0);
                    Ok(())
                },
            );
        let handle = expression.start().with_context(|| format!("starting `{self}`"))?;
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

    fn expression(&self, program: &Path) -> Result<duct::Expression> {
        let expression = self.without_stdin(program);
        Ok(match (&self.source, &self.stdin) {
            (Some(source), _) => source.expression(&resolve(&source.program)?)?.pipe(expression),
            (None, Some(bytes)) => expression.stdin_bytes(bytes.clone()),
            (None, None) => expression.stdin_null(),
        })
    }

    fn without_stdin(&self, program: &Path) -> duct::Expression {
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

    fn error(&self, failure: Failure, said: &str) -> ProcessError {
        let lines: Vec<_> = said.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        ProcessError { command: mask(&self.to_string()), failure, stderr: mask(&tail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error: &anyhow::Error) -> Failure {
        error.downcast_ref::<ProcessError>().unwrap().failure
    }

    #[test]
    fn prints_as_a_shell_would_take_it() {
        let cmd = Cmd::new("sh").args(["-c", "echo 'a b'", ""]).env("PASSWORD", "hidden");
        assert_eq!(cmd.to_string(), r"sh -c 'echo '\''a b'\''' ''");
    }

    #[test]
    fn prints_ids_as_docker_does() {
        assert_eq!(Cmd::new("docker").arg("0a".repeat(32)).to_string(), "docker 0a0a0a0a0a0a");
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
