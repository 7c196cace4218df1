//! What a command is going to change, as a plain value: `--dry-run` prints it, otherwise it is
//! carried out. The two cannot disagree.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use crate::host::files::{make_directory, write_atomically, write_followed, write_for};
use crate::host::user::Owner;
use crate::process::{Cmd, check_interrupted};
use crate::report::live::Live;
use crate::report::{DIM, Report};

/// Steps, in the order in which they are taken.
#[derive(Debug, Default)]
pub struct Plan(Vec<Step>);

#[derive(Debug)]
struct Step {
    what: String,
    action: Action,
    /// Whether a dry run prints what is written.
    is_open: bool,
}

#[derive(Debug)]
enum Action {
    Run(Cmd),
    RunWith(Cmd, Box<dyn Progress>),
    Try(Cmd),
    Call { like: String, call: Call },
    Write { path: PathBuf, contents: Vec<u8>, mode: u32, owner: Option<Owner> },
    Edit { path: PathBuf, contents: Vec<u8>, mode: u32 },
    MakeDirectory { path: PathBuf, owner: Owner, mode: u32 },
}

/// Work that no program does for us.
struct Call(Box<Work>);

type Work = dyn FnOnce(&Report) -> Result<()>;

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

/// What a program says of how far it is, in a few words.
pub trait Progress: std::fmt::Debug {
    /// What to show once it has written `line` to its terminal.
    fn after(&mut self, line: &str) -> String;
}

impl Plan {
    /// A plan that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs a program.
    pub fn run(&mut self, what: impl Into<String>, cmd: Cmd) {
        self.0.push(Step { what: what.into(), action: Action::Run(cmd), is_open: false });
    }

    /// Runs a program that has more to say on a terminal, of which `progress` is shown there.
    pub fn run_with(&mut self, what: impl Into<String>, cmd: Cmd, progress: Box<dyn Progress>) {
        let action = Action::RunWith(cmd, progress);
        self.0.push(Step { what: what.into(), action, is_open: false });
    }

    /// Runs a program whose failure is a warning and keeps nothing from being done.
    pub fn try_run(&mut self, what: impl Into<String>, cmd: Cmd) {
        self.0.push(Step { what: what.into(), action: Action::Try(cmd), is_open: false });
    }

    /// Does `call`, whose failure is a warning and keeps nothing from being done. A dry run prints
    /// `like`, the command line that does the same.
    pub fn try_call(
        &mut self,
        what: impl Into<String>,
        like: impl Into<String>,
        call: impl FnOnce(&Report) -> Result<()> + 'static,
    ) {
        let action = Action::Call { like: like.into(), call: Call(Box::new(call)) };
        self.0.push(Step { what: what.into(), action, is_open: false });
    }

    /// Replaces a file atomically. Its contents are never printed.
    pub fn write(
        &mut self,
        what: impl Into<String>,
        path: PathBuf,
        contents: impl Into<Vec<u8>>,
        mode: u32,
    ) {
        self.0.push(Step {
            what: what.into(),
            action: Action::Write { path, contents: contents.into(), mode, owner: None },
            is_open: false,
        });
    }

    /// As [`Plan::write`], of a file that a person edits: one that is a link stays one.
    pub fn edit(
        &mut self,
        what: impl Into<String>,
        path: PathBuf,
        contents: impl Into<Vec<u8>>,
        mode: u32,
    ) {
        let action = Action::Edit { path, contents: contents.into(), mode };
        self.0.push(Step { what: what.into(), action, is_open: false });
    }

    /// As [`Plan::write`], for another user to own; only for root.
    pub fn write_for(
        &mut self,
        what: impl Into<String>,
        path: PathBuf,
        contents: impl Into<Vec<u8>>,
        mode: u32,
        owner: Owner,
    ) {
        self.0.push(Step {
            what: what.into(),
            action: Action::Write { path, contents: contents.into(), mode, owner: Some(owner) },
            is_open: false,
        });
    }

    /// As [`Plan::write`], of contents that a dry run prints.
    pub fn write_openly(
        &mut self,
        what: impl Into<String>,
        path: PathBuf,
        contents: impl Into<Vec<u8>>,
        mode: u32,
    ) {
        self.write(what, path, contents, mode);
        if let Some(step) = self.0.last_mut() {
            step.is_open = true;
        }
    }

    /// Makes a directory, or gives the one that is there its owner and mode; only for root or for
    /// our own directories.
    pub fn make_directory(
        &mut self,
        what: impl Into<String>,
        path: PathBuf,
        owner: Owner,
        mode: u32,
    ) {
        let action = Action::MakeDirectory { path, owner, mode };
        self.0.push(Step { what: what.into(), action, is_open: false });
    }

    /// Takes the steps of `other` after these.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Prints the steps and the exact commands, and changes nothing.
    ///
    /// # Errors
    /// When the JSON document cannot be written.
    pub fn print(&self, report: &Report) -> Result<()> {
        for step in &self.0 {
            report.line(format!("would: {}", step.what));
            report.line(format!("       {DIM}$ {}{DIM:#}", step.action));
            for line in step.contents().into_iter().flat_map(str::lines) {
                report.line(format!("       {line}"));
            }
        }
        if self.is_empty() {
            report.line("nothing to do");
        }
        let lines: Vec<_> = self.0.iter().map(Line::of).collect();
        report.document("xtask.plan/v1", &json!({ "steps": lines }))
    }

    /// Takes the steps one after the other. Those that are done become the JSON document
    /// `xtask.changes/v1`, unless the command has another.
    ///
    /// # Errors
    /// The first step's that fails; those after it are not taken.
    pub fn carry_out(self, report: &Report) -> Result<()> {
        report.document(CHANGES, &json!({ "steps": [] }))?;
        for step in self.0 {
            check_interrupted()?;
            let mut live = Live::new(report);
            live.show(&step.what);
            let line = Line::of(&step);
            let Step { what, action, .. } = step;
            action.carry_out(report, &what, &mut live).with_context(|| what.clone())?;
            live.clear();
            report.document(CHANGES, &json!({ "steps": [line] }))?;
            report.done(what);
        }
        Ok(())
    }
}

impl Step {
    /// What is written, where everybody may see it.
    fn contents(&self) -> Option<&str> {
        match &self.action {
            Action::Write { contents, .. } if self.is_open => std::str::from_utf8(contents).ok(),
            _ => None,
        }
    }
}

/// The document of what has been changed.
const CHANGES: &str = "xtask.changes/v1";

/// A step in a JSON document.
#[derive(Serialize)]
struct Line {
    what: String,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<String>,
}

impl Line {
    fn of(step: &Step) -> Self {
        Self {
            what: step.what.clone(),
            command: step.action.to_string(),
            contents: step.contents().map(str::to_owned),
        }
    }
}

impl Action {
    fn carry_out(self, report: &Report, what: &str, live: &mut Live) -> Result<()> {
        match self {
            Self::Try(cmd) => {
                let outcome = Self::Run(cmd).carry_out(report, what, live);
                forgive(outcome, report, what, live)
            }
            Self::Call { call, .. } => forgive((call.0)(report), report, what, live),
            Self::RunWith(cmd, mut progress) if live.is_shown() => {
                cmd.each_line_of_terminal(|line| {
                    live.show(&format!("{what}: {}", progress.after(line)));
                })
            }
            Self::Run(cmd) | Self::RunWith(cmd, _) => cmd.each_line(|line| {
                if report.is_verbose() {
                    report.progress(format!("  {line}"));
                } else {
                    live.show(&format!("{what}: {line}"));
                }
            }),
            Self::Write { path, contents, mode, owner } => match owner {
                Some(owner) => write_for(&path, &contents, mode, owner),
                None => write_atomically(&path, &contents, mode),
            },
            Self::Edit { path, contents, mode } => write_followed(&path, &contents, mode),
            Self::MakeDirectory { path, owner, mode } => make_directory(&path, owner, mode)
                .with_context(|| format!("making {} for {owner}", path.display())),
        }
    }
}

/// A failure becomes a warning; an interruption stays one.
fn forgive(outcome: Result<()>, report: &Report, what: &str, live: &mut Live) -> Result<()> {
    check_interrupted()?;
    if let Err(error) = outcome {
        live.clear();
        report.warning(format!("could not {what}: {error:#}"));
    }
    Ok(())
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call { like, .. } => f.write_str(like),
            Self::Run(cmd) | Self::RunWith(cmd, _) | Self::Try(cmd) => write!(f, "{cmd}"),
            Self::Write { path, contents, mode, owner } => {
                write_installed(f, path, contents, *mode, *owner)
            }
            Self::Edit { path, contents, mode } => write_installed(f, path, contents, *mode, None),
            Self::MakeDirectory { path, owner, mode } => {
                write!(
                    f,
                    "install -d -m {mode:04o} -o {} -g {} {}",
                    owner.uid,
                    owner.gid,
                    path.display()
                )
            }
        }
    }
}

fn write_installed(
    f: &mut std::fmt::Formatter<'_>,
    path: &Path,
    contents: &[u8],
    mode: u32,
    owner: Option<Owner>,
) -> std::fmt::Result {
    let owner = owner.map(|owner| format!(" -o {} -g {}", owner.uid, owner.gid));
    write!(
        f,
        "install -m {mode:04o}{} /dev/stdin {}  # {} bytes",
        owner.unwrap_or_default(),
        path.display(),
        contents.len()
    )
}
