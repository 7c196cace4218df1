//! The only place that prints. Results go to stdout, everything else to stderr; every line is
//! masked on its way out, and holds no control character that others wrote.

pub mod advice;
pub mod finding;
pub mod live;
pub mod nearest;
pub mod printable;
pub mod table;
pub mod units;

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use self::printable::{plain, with_own_colours};
use crate::process::Cmd;
use crate::secret::mask;

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something to look at.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// Something that failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Less important words.
pub const DIM: Style = Style::new().dimmed();

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Progress too.
    Normal,
    /// Every command that runs, and the ids of findings.
    Verbose,
}

/// The one document that stdout is going to carry.
static DOCUMENT: Mutex<Option<Document>> = Mutex::new(None);

/// Schemas that have no place for a failure.
const OF_SUCCESS: [&str; 3] = ["xtask.changes/v1", "xtask.plan/v1", "xtask.urls/v1"];

struct Document {
    schema: String,
    value: Value,
    revealed: bool,
}

/// Where output goes and how much of it there is.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    verbosity: Verbosity,
    json: bool,
}

impl Report {
    /// A report; under `json` stdout carries one document and nothing else.
    pub fn new(verbosity: Verbosity, json: bool) -> Self {
        if verbosity == Verbosity::Verbose {
            crate::process::trace_with(trace);
        }
        Self { verbosity, json }
    }

    /// Whether stdout carries a JSON document.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether `--verbose` was given.
    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// One line of result on stdout; dropped under `--json`.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            to_stdout(&with_own_colours(&mask(text.as_ref())));
        }
    }

    /// A line of result that holds secrets, because the user asked to see them, for a shell to
    /// read: exactly these bytes.
    pub fn revealed(&self, text: impl AsRef<str>) {
        to_stdout(text.as_ref());
    }

    /// The result as one JSON document with `schema`, such as `xtask.status/v1`. A second one of
    /// the same schema, of another stack perhaps, adds to the lists of the first, and what is true
    /// must be so in both; one of another schema replaces it.
    ///
    /// # Errors
    /// When `value` has no JSON form.
    pub fn document(&self, schema: &str, value: &impl Serialize) -> Result<()> {
        if self.json { add_document(schema, value, false) } else { Ok(()) }
    }

    /// As [`Report::document`], with the secrets that the user asked to see.
    ///
    /// # Errors
    /// When `value` has no JSON form.
    pub fn revealed_document(&self, schema: &str, value: &impl Serialize) -> Result<()> {
        if self.json { add_document(schema, value, true) } else { Ok(()) }
    }

    /// One of many results, as a JSON document on a line of its own, at once: for what has no end,
    /// or is too much to be kept. Nothing without `--json`.
    ///
    /// # Errors
    /// When `value` has no JSON form.
    pub fn document_line(&self, schema: &str, value: &impl Serialize) -> Result<()> {
        if self.json {
            let value = with_schema(schema, value)?;
            to_stdout(&mask(&value.to_string()));
        }
        Ok(())
    }

    /// Whether there is a document that tells what is wrong, and not only what went well before.
    fn tells_failure(&self) -> bool {
        let document = DOCUMENT.lock().unwrap_or_else(PoisonError::into_inner);
        document.as_ref().is_some_and(|document| !OF_SUCCESS.contains(&document.schema.as_str()))
    }

    /// Prints the document, if there is one.
    pub fn finish(&self) {
        let document = DOCUMENT.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Document { value, revealed, .. }) = document else { return };
        let text = format!("{value:#}");
        to_stdout(&if revealed { text } else { mask(&text) });
    }

    /// What is being done, on stderr.
    pub fn progress(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Normal {
            to_stderr(text.as_ref());
        }
    }

    /// A step that is done.
    pub fn done(&self, text: impl AsRef<str>) {
        self.progress(format!("{GOOD}✓{GOOD:#} {}", plain(text.as_ref())));
    }

    /// Something the user should know although the command goes on.
    pub fn warning(&self, text: impl AsRef<str>) {
        to_stderr(&format!("{WARNING}warning:{WARNING:#} {}", plain(text.as_ref())));
    }

    /// Asks on the terminal; without one, or without an answer, it is no.
    pub fn confirm(&self, question: &str) -> bool {
        self.ask(&format!("{question} [y/N]"))
            .is_some_and(|answer| matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }

    /// The line that the user types after `question`; `None` without a terminal.
    pub fn ask(&self, question: &str) -> Option<String> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let mut stderr = anstream::stderr().lock();
        let _ = write!(stderr, "{} ", plain(&mask(question))).and_then(|()| stderr.flush());
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).ok()?;
        Some(answer.trim().to_owned())
    }
}

fn with_schema(schema: &str, value: &impl Serialize) -> Result<Value> {
    let mut value = serde_json::to_value(value).context("writing the JSON document")?;
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".to_owned(), schema.into());
    }
    Ok(value)
}

fn add_document(schema: &str, value: &impl Serialize, revealed: bool) -> Result<()> {
    let value = with_schema(schema, value)?;
    let mut document = DOCUMENT.lock().unwrap_or_else(PoisonError::into_inner);
    match document.as_mut().filter(|document| document.schema == schema) {
        Some(document) => extend(&mut document.value, value),
        None => *document = Some(Document { schema: schema.to_owned(), value, revealed }),
    }
    Ok(())
}

fn extend(document: &mut Value, more: Value) {
    let (Value::Object(document), Value::Object(more)) = (document, more) else { return };
    for (key, value) in more {
        match (document.get_mut(&key), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (Some(Value::Bool(ok)), Value::Bool(more)) => *ok &= more,
            (_, value) => drop(document.insert(key, value)),
        }
    }
}

fn trace(cmd: &Cmd) {
    to_stderr(&format!("{DIM}$ {}{DIM:#}", plain(&cmd.to_string())));
}

/// A reader that went away (`| head`) is no failure of ours.
fn to_stdout(text: &str) {
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

pub(crate) fn to_stderr(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{}", with_own_colours(&mask(text)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn documents_of_two_stacks_become_one() {
        let mut document = json!({ "schema": "a/v1", "services": [1], "ok": true });
        super::extend(&mut document, json!({ "schema": "a/v1", "services": [2], "ok": false }));
        assert_eq!(document, json!({ "schema": "a/v1", "services": [1, 2], "ok": false }));
        super::extend(&mut document, json!({ "schema": "a/v1", "services": [], "ok": true }));
        assert_eq!(document["ok"], false, "what is wrong with one stack stays wrong");
    }
}
