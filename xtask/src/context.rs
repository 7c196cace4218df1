//! What every command gets: where the repository is, what stacks.toml says, how to report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::docker::container::{self, Container};
use crate::docker::leftovers;
use crate::host::lock::{self, Holder, IfHeld, Lock};
use crate::plan::Plan;
use crate::report::Report;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Exit, Finding, Problem};
use crate::report::units::count;
use crate::stack::manifest::{Definition, Manifest};
use crate::stack::{Overrides, Stack};

/// Made once in `main`.
#[derive(Debug)]
pub struct Context {
    /// The repository's root.
    pub root: PathBuf,
    /// What stacks.toml says.
    pub manifest: Manifest,
    /// How to report.
    pub report: Report,
    /// `--yes`: answer questions with yes.
    pub yes: bool,
    /// `--dry-run`: print the plan and change nothing.
    pub dry_run: bool,
    /// `--wait`: wait for the project's lock.
    pub wait: bool,
    /// `--project` and `--data-dir`.
    pub overrides: Overrides,
    /// What the command went on without.
    pub left_out: LeftOut,
}

/// The stacks that a command which named none had to leave out, each with the id of the reason.
#[derive(Debug, Default)]
pub struct LeftOut(Mutex<BTreeMap<String, &'static str>>);

/// What of `.env` cannot be used.
type Judge = fn(&Stack) -> Vec<Finding>;
const ALL_OF_ENV: Judge = |stack| stack.broken().into_iter().chain(stack.unclear()).collect();
const TEXT_OF_ENV: Judge = |stack| stack.broken().into_iter().collect();

impl Context {
    /// The stacks that `word` means. Where it is left out, all that can be loaded: what is wrong
    /// with another is reported, and fails the command at its end ([`Context::refuse_left_out`]).
    ///
    /// # Errors
    /// When there is no such stack, its files cannot be read, or Composes may read its `.env`
    /// differently: the value that counts is then unknown. Where no stack was named, when that is
    /// so of all.
    pub fn stacks(&self, word: Option<&str>) -> Result<Vec<Stack>> {
        self.select(word, ALL_OF_ENV)
    }

    /// As [`Context::stacks`], for those who report what is unclear in `.env`.
    ///
    /// # Errors
    /// When there is no such stack, or its files cannot be read.
    pub fn stacks_to_check(&self, word: Option<&str>) -> Result<Vec<Stack>> {
        self.select(word, TEXT_OF_ENV)
    }

    /// As [`Context::stacks`], for what goes by [`Stack::place`] alone, whatever else `.env` says.
    ///
    /// # Errors
    /// When there is no such stack, its other files cannot be read, or its place is unclear:
    /// another project or another data directory would be meant.
    pub fn stacks_by_place(&self, word: Option<&str>) -> Result<Vec<Stack>> {
        self.select(word, |stack| stack.unclear_for(&stack.place()))
    }

    /// As [`Context::stacks`], for what goes by the files of the repository alone.
    ///
    /// # Errors
    /// When there is no such stack, or its files cannot be read.
    pub fn stacks_whatever_env_says(&self, word: Option<&str>) -> Result<Vec<Stack>> {
        self.select(word, |_| Vec::new())
    }

    fn select(&self, word: Option<&str>, judge: Judge) -> Result<Vec<Stack>> {
        let (mut stacks, mut left) = (Vec::new(), Vec::new());
        for definition in self.manifest.select(word.unwrap_or("all"))? {
            match self.load(definition, judge) {
                Ok(stack) => stacks.push(stack),
                Err(error) if word.is_none() && !is_usage(&error) => left.push((definition, error)),
                Err(error) => return Err(error),
            }
        }
        if stacks.is_empty()
            && let Some((_, error)) = left.pop()
        {
            return Err(error);
        }
        left.into_iter().for_each(|(definition, error)| self.leave_out(&definition.name, &error));
        Ok(stacks)
    }

    fn load(&self, definition: &Definition, judge: Judge) -> Result<Stack> {
        let stack = Stack::load(&self.root, definition, &self.overrides)?;
        match judge(&stack).as_slice() {
            [] => Ok(stack),
            [only] => Err(Problem::from(only).into()),
            wrong => Err(all_of(wrong).into()),
        }
    }

    /// Reports why the command goes on without a stack, once.
    fn leave_out(&self, name: &str, error: &anyhow::Error) {
        let finding = Finding::of_error("stack.left-out", error);
        let mut left = self.left_out.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.insert(name.to_owned(), finding.id).is_none() {
            self.report.finding(&finding.about(name));
        }
    }

    /// Fails where the command went on without a stack. For its end.
    ///
    /// # Errors
    /// A problem with the id of the reason, which was reported before.
    pub fn refuse_left_out(&self) -> Result<()> {
        let left = self.left_out.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = left.values().next() else { return Ok(()) };
        let names: Vec<_> = left.keys().map(String::as_str).collect();
        let found = format!("{} was left out; the reason is above", names.join(" and "));
        Err(Problem::prerequisite(id, found).into())
    }

    /// The one stack that `word` names.
    ///
    /// # Errors
    /// As [`Context::stacks`], and when it names several.
    pub fn stack(&self, word: &str) -> Result<Stack> {
        let mut stacks = self.stacks(Some(word))?;
        match (stacks.pop(), stacks.is_empty()) {
            (Some(stack), true) => Ok(stack),
            _ => Err(Problem::usage(
                "stack.several",
                format!("`{word}` means several stacks; name one"),
            )
            .into()),
        }
    }

    /// The words for a stack and its services. Where the first is no stack but a service that only one
    /// has, the stack was forgotten, and is taken. Not for what changes data.
    pub fn take_service(&self, stack: &str, services: &[String]) -> (String, Vec<String>) {
        match self.manifest.only_with(stack) {
            Some(definition) => {
                let services = std::iter::once(stack.to_owned()).chain(services.iter().cloned());
                (definition.short().to_owned(), services.collect())
            }
            None => (stack.to_owned(), services.to_vec()),
        }
    }

    /// The same stack with its files read anew, after they have been changed.
    ///
    /// # Errors
    /// As [`Context::stacks`].
    pub fn reload(&self, stack: &Stack) -> Result<Stack> {
        self.load(&stack.definition, ALL_OF_ENV)
    }

    /// As [`Context::reload`], for those who mend what is unclear in `.env`.
    ///
    /// # Errors
    /// As [`Context::stacks_to_check`].
    pub fn reload_to_mend(&self, stack: &Stack) -> Result<Stack> {
        self.load(&stack.definition, TEXT_OF_ENV)
    }

    /// Fails where `--project` names what there is not.
    ///
    /// # Errors
    /// A usage problem; when the engine does not answer.
    pub fn require_project(&self, stacks: &[Stack]) -> Result<()> {
        let (Some(project), Some(first)) = (&self.overrides.project, stacks.first()) else {
            return Ok(());
        };
        for stack in stacks {
            if stack.env.text().is_some() || !self.containers(stack)?.is_empty() {
                return Ok(());
            }
        }
        let found = format!("there is no project {project} yet (no .env.{project}, no containers)");
        let start = format!("to make it: {}", Xtask::Up(first.on()));
        Err(Problem::usage("project.unknown", found).mend(start).into())
    }

    /// Takes the project's lock; none where nothing is to be changed.
    ///
    /// # Errors
    /// A problem that names the holder, unless `--wait` was given.
    pub fn lock(&self, stack: &Stack, what: &str) -> Result<Option<Lock>> {
        if self.dry_run {
            return Ok(None);
        }
        let path = lock::path(&self.state_folder(), &stack.project());
        let if_held = if self.wait { IfHeld::Wait } else { IfHeld::Fail };
        let waiting = |holder: &Holder| self.report.progress(format!("waiting for {holder}"));
        let lock = Lock::take(&path, what, if_held, waiting);
        lock.map(Some).map_err(|error| match error.downcast::<lock::Held>() {
            Ok(held) => Problem::failed("lock.held", held.to_string()).mend(held.mend()).into(),
            Err(error) => error,
        })
    }

    /// Removes what a killed run has left, unless nothing is to be changed. Only for the holder of the project's lock.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn remove_leftovers(&self, project: &str) -> Result<()> {
        if self.dry_run {
            return Ok(());
        }
        let removed = leftovers::remove(project)?;
        if removed > 0 {
            self.report.progress(format!(
                "removed {} of an interrupted run",
                count(removed, "helper container")
            ));
        }
        Ok(())
    }

    /// Where locks lie.
    pub fn state_folder(&self) -> PathBuf {
        self.root.join("infrastructure/.state")
    }

    /// Prints the plan under `--dry-run`, carries it out otherwise.
    ///
    /// # Errors
    /// The first step's that fails.
    pub fn execute(&self, plan: Plan) -> Result<()> {
        if self.dry_run { plan.print(&self.report) } else { plan.carry_out(&self.report) }
    }

    /// The stack's containers.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn containers(&self, stack: &Stack) -> Result<Vec<Container>> {
        container::of_project(&stack.project())
    }
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Problem>().is_some_and(|problem| problem.exit == Exit::Usage)
}

fn all_of(findings: &[Finding]) -> Problem {
    let found: String = findings.iter().map(|finding| format!("\n  {finding}")).collect();
    let mends = findings.iter().map(|finding| finding.mend.clone());
    let id = findings.first().map_or("env.ambiguous", |finding| finding.id);
    Problem::prerequisite(id, format!("{} cannot be used:{found}", count(findings.len(), "line")))
        .mend(mends.fold(Advice::none(), Advice::and))
}

/// The repository's root: the nearest ancestor of the current directory with
/// `infrastructure/stacks.toml`, else where this program was built.
pub fn root() -> PathBuf {
    root_here().unwrap_or_else(|| built_in().to_owned())
}

/// The root of the clone that we are in, if we are in one.
fn root_here() -> Option<PathBuf> {
    let current = std::env::current_dir().unwrap_or_default();
    current.ancestors().find(|folder| is_root(folder)).map(Path::to_owned)
}

fn is_root(folder: &Path) -> bool {
    folder.join("infrastructure/stacks.toml").is_file()
}

/// The clone in which this program was built.
fn built_in() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// As [`root`], and says which clone is acted on where it is not the one that we are in.
///
/// # Errors
/// A usage problem where there is none.
pub fn announced_root(report: &Report) -> Result<PathBuf> {
    if let Some(here) = root_here() {
        return Ok(here);
    }
    let built = built_in();
    if !is_root(built) {
        let found = format!(
            "this is not inside a clone of the repository, and the clone that this program was built in ({}) no longer exists",
            built.display()
        );
        return Err(Problem::usage("clone.none", found).mend("run it in a clone").into());
    }
    report.progress(format!("not in a clone; acting on {}", built.display()));
    Ok(built.to_owned())
}

#[cfg(test)]
mod tests;
