//! The only place that starts a program.
//!
//! A [`Cmd`] is a plain value: a plan can print it before anything runs it. Short local programs
//! run through xshell; whatever has a time limit, is read line by line or runs beside us goes
//! through duct.

mod beside;
mod dialogue;
mod interrupt;
mod line;
mod outcome;
mod pipe;
mod run;
mod terminal;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;

pub use self::beside::{Ends, Running};
pub use self::dialogue::Dialogue;
pub use self::interrupt::{Interrupted, check_interrupted, watch_signals};
pub use self::line::quote;
pub use self::outcome::{Failure, Output, ProcessError};
pub use self::pipe::{PipeEnd, read_within};
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

    fn prepare(&self) -> Result<PathBuf> {
        check_interrupted()?;
        if let Some(trace) = TRACE.get() {
            trace(self);
        }
        resolve(&self.program)
    }

    fn error(&self, failure: Failure, said: &str) -> ProcessError {
        let lines: Vec<_> = said.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        ProcessError { command: mask(&self.to_string()), failure, stderr: mask(&tail) }
    }
}
