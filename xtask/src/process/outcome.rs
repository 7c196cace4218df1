//! How a program ended.

use std::fmt;
use std::time::Duration;

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No such program on the PATH.
    NotFound,
    /// It ran longer than this and was killed.
    TimedOut(Duration),
    /// It ended with this exit status; `None` when a signal ended it.
    Status(Option<i32>),
}

/// A command that failed, with what it said. Secrets are masked.
#[derive(Debug)]
pub struct ProcessError {
    /// The command line, as a shell would take it.
    pub command: String,
    /// What went wrong.
    pub failure: Failure,
    /// The end of what it wrote to stderr.
    pub stderr: String,
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, failure, stderr } = self;
        match failure {
            Failure::NotFound => write!(f, "no program `{command}` on the PATH")?,
            Failure::TimedOut(limit) => {
                write!(f, "`{command}` gave no answer within {} s", limit.as_secs())?;
            }
            Failure::Status(Some(status)) => write!(f, "`{command}` failed with status {status}")?,
            Failure::Status(None) => write!(f, "`{command}` was ended by a signal")?,
        }
        if !stderr.is_empty() {
            write!(f, "\n--- stderr\n{stderr}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ProcessError {}

/// What a command left when it ended.
#[derive(Debug)]
pub struct Output {
    /// Exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Everything written to stdout.
    pub stdout: String,
    /// Everything written to stderr.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with status 0.
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }
}

impl From<&std::process::Output> for Output {
    fn from(output: &std::process::Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
