//! What checks find, and the errors that end a command: each an instruction with a stable id.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::advice::{Advice, Xtask};
use super::printable::plain;
use super::{BAD, DIM, GOOD, Report, WARNING};
use crate::host::kind::Refused;
use crate::process::Interrupted;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Works, but look at it.
    Warning,
    /// Does not work.
    Error,
}

/// What is known once it was asked whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was looked at, and is.
    Proven,
    /// It was looked at, and is not.
    Refuted,
    /// Nobody knows: it was not looked at, or could not be.
    NotLookedAt,
}

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Stable name, such as `engine.version`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is known now, where it is about a proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// What it is about: a stack, a service, a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was found.
    pub found: String,
    /// What is needed instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<String>,
    /// What mends it.
    #[serde(skip_serializing_if = "Advice::is_empty")]
    pub mend: Advice,
    /// The file it stands in, from the repository's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line there, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl Finding {
    fn new(id: &'static str, severity: Severity, found: impl Into<String>) -> Self {
        Self {
            id,
            severity,
            answer: None,
            subject: None,
            found: found.into(),
            needed: None,
            mend: Advice::none(),
            file: None,
            line: None,
        }
    }

    /// As it should be.
    pub fn ok(id: &'static str, found: impl Into<String>) -> Self {
        Self::new(id, Severity::Ok, found)
    }

    /// Works, but look at it.
    pub fn warning(id: &'static str, found: impl Into<String>) -> Self {
        Self::new(id, Severity::Warning, found)
    }

    /// Does not work.
    pub fn error(id: &'static str, found: impl Into<String>) -> Self {
        Self::new(id, Severity::Error, found)
    }

    /// It was looked at, and is as it should be.
    pub fn proven(id: &'static str, found: impl Into<String>) -> Self {
        Self { answer: Some(Answer::Proven), ..Self::ok(id, found) }
    }

    /// It was looked at, and is not as it should be.
    pub fn refuted(id: &'static str, found: impl Into<String>) -> Self {
        Self { answer: Some(Answer::Refuted), ..Self::error(id, found) }
    }

    /// It was not looked at, which was to be expected; `why` has the reason.
    pub fn not_looked_at(id: &'static str, why: impl Into<String>) -> Self {
        Self { answer: Some(Answer::NotLookedAt), ..Self::warning(id, why) }
    }

    /// It was asked, and no answer came; `why` has the reason.
    pub fn no_answer(id: &'static str, why: impl Into<String>) -> Self {
        Self { answer: Some(Answer::NotLookedAt), ..Self::error(id, why) }
    }

    /// The error that a check ended with: a problem keeps its own id and way out.
    pub fn of_error(id: &'static str, error: &anyhow::Error) -> Self {
        let Some(problem) = problems(error).next() else {
            return Self::error(id, format!("{error:#}"));
        };
        Self::error(problem.id, problem.message).mend(problem.mend)
    }

    /// Says what it is about.
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Says what is needed instead.
    pub fn needs(mut self, needed: impl Into<String>) -> Self {
        self.needed = Some(needed.into());
        self
    }

    /// Says what mends it.
    pub fn mend(mut self, mend: impl Into<Advice>) -> Self {
        self.mend = mend.into();
        self
    }

    /// Says where it stands.
    pub fn at(mut self, file: impl Into<String>, line: Option<usize>) -> Self {
        self.file = Some(file.into());
        self.line = line;
        self
    }
}

/// `subject: found (needed: …)`, without the mending.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            _ => {}
        }
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.found)?;
        if let Some(needed) = &self.needed {
            write!(f, " (needed: {needed})")?;
        }
        Ok(())
    }
}

impl Report {
    /// Prints the findings that are a command's result on stdout; under `--json` they stand in its
    /// document.
    pub fn findings(&self, findings: &[Finding]) {
        for finding in findings {
            self.lines_of(finding).into_iter().for_each(|line| self.line(line));
            annotate(finding);
        }
    }

    /// Prints on stderr what stands in a command's way.
    pub fn finding(&self, finding: &Finding) {
        self.lines_of(finding).iter().for_each(|line| super::to_stderr(line));
        annotate(finding);
    }

    fn lines_of(&self, finding: &Finding) -> Vec<String> {
        let (style, mark) = match finding.severity {
            Severity::Ok => (GOOD, "✓"),
            Severity::Warning => (WARNING, "!"),
            Severity::Error => (BAD, "✗"),
        };
        let id = if self.is_verbose() {
            format!(" {DIM}[{}]{DIM:#}", finding.id)
        } else {
            String::new()
        };
        if finding.severity == Severity::Ok && self.verbosity == super::Verbosity::Quiet {
            return Vec::new();
        }
        let line = format!("{style}{mark}{style:#} {}{id}", plain(&finding.to_string()));
        let mend = finding.mend.lines().map(|line| plain(&line).into_owned());
        [line].into_iter().chain(mend).collect()
    }
}

/// Where GitHub reads it.
fn annotate(finding: &Finding) {
    if finding.severity > Severity::Ok && std::env::var_os("GITHUB_ACTIONS").is_some() {
        super::to_stderr(&annotation(finding));
    }
}

impl Report {
    /// Prints the error that ends the command, and says with which exit status.
    pub fn failure(&self, error: &anyhow::Error) -> std::process::ExitCode {
        let (id, exit) = classify(error);
        let message = format!("{error:#}");
        let mend = advice(error);
        super::to_stderr(&format!("{BAD}error:{BAD:#} {}", plain(&message)));
        mend.lines().for_each(|line| super::to_stderr(&plain(&line)));
        if !self.tells_failure() {
            let document = serde_json::json!({ "id": id, "message": message, "mend": mend });
            let _ = self.document("xtask.error/v1", &document);
        }
        self.finish();
        std::process::ExitCode::from(exit as u8)
    }
}

/// The problems that `error` is made of, the outermost first. An error of the file system may carry one.
fn problems(error: &anyhow::Error) -> impl Iterator<Item = Problem> {
    error.chain().filter_map(|cause| {
        let carried = || cause.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref();
        let refused = || cause.downcast_ref().or_else(carried).map(Problem::of_file);
        cause.downcast_ref().cloned().or_else(refused)
    })
}

/// What programs know `error` by.
fn classify(error: &anyhow::Error) -> (&'static str, Exit) {
    match problems(error).next() {
        Some(problem) => (problem.id, problem.exit),
        None if is_interruption(error) => ("interrupted", Exit::Interrupted),
        None => ("failed", Exit::Failed),
    }
}

fn is_interruption(error: &anyhow::Error) -> bool {
    error.root_cause().is::<Interrupted>()
}

/// What mends `error`, the outermost advice first.
fn advice(error: &anyhow::Error) -> Advice {
    problems(error).map(|problem| problem.mend).fold(Advice::none(), Advice::and)
}

/// Puts a way out before those that `error` has.
pub fn advise(error: anyhow::Error, way: impl fmt::Display) -> anyhow::Error {
    let mend = Advice::from(way).and(advice(&error));
    let (id, exit) = classify(&error);
    Problem { id, exit, message: format!("{error:#}"), mend }.into()
}

/// Has an interruption say what was done and which command continues; every other error stays as
/// it is.
pub fn resumed_by(error: anyhow::Error, done: &str, command: Xtask) -> anyhow::Error {
    if !is_interruption(&error) {
        return error;
    }
    let message = format!("interrupted: {done}");
    let mend = format!("{command} continues from here").into();
    Problem { id: "interrupted", exit: Exit::Interrupted, message, mend }.into()
}

/// A workflow command of GitHub Actions
/// (docs.github.com, "Workflow commands for GitHub Actions").
fn annotation(finding: &Finding) -> String {
    let kind = if finding.severity == Severity::Error { "error" } else { "warning" };
    let mut place = format!("title={}", finding.id);
    if let Some(file) = &finding.file {
        let file = workflow_property(file);
        place = format!("file={file},line={},{place}", finding.line.unwrap_or(1));
    }
    let mend = finding.mend.one_line().map(|mend| format!(" → {mend}")).unwrap_or_default();
    format!("::{kind} {place}::{}", workflow_data(&format!("{finding}{mend}")))
}

/// Text after the last `::` of a workflow command.
fn workflow_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value in a workflow command.
fn workflow_property(text: &str) -> String {
    workflow_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// How a command ends; the numbers are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Something failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The machine or the configuration is not fit.
    Prerequisite = 3,
    /// The user interrupted.
    Interrupted = 130,
}

/// An error that ends a command: an id for programs, a sentence and a way out for people.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Stable name.
    pub id: &'static str,
    /// The exit status it leads to.
    pub exit: Exit,
    /// What failed and why.
    pub message: String,
    /// What mends it.
    pub mend: Advice,
}

impl Problem {
    /// Something failed.
    pub fn failed(id: &'static str, message: impl Into<String>) -> Self {
        Self { id, exit: Exit::Failed, message: message.into(), mend: Advice::none() }
    }

    /// The command line makes no sense.
    pub fn usage(id: &'static str, message: impl Into<String>) -> Self {
        Self { id, exit: Exit::Usage, message: message.into(), mend: Advice::none() }
    }

    /// The machine or the configuration is not fit.
    pub fn prerequisite(id: &'static str, message: impl Into<String>) -> Self {
        Self { id, exit: Exit::Prerequisite, message: message.into(), mend: Advice::none() }
    }

    /// A file is not what it should be, or not ours.
    fn of_file(refused: &Refused) -> Self {
        let ways = refused.ways.iter().map(String::as_str);
        let mend = ways.fold(Advice::none(), Advice::or);
        Self::failed(refused.id, refused.found.as_str()).mend(mend)
    }

    /// Says what mends it.
    pub fn mend(mut self, mend: impl Into<Advice>) -> Self {
        self.mend = mend.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// The finding as the error that ends the command.
impl From<&Finding> for Problem {
    fn from(finding: &Finding) -> Self {
        Self::prerequisite(finding.id, finding.to_string()).mend(finding.mend.clone())
    }
}

#[cfg(test)]
mod tests;
