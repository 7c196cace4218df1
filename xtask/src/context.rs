//! What every command gets: where the repository is, what stacks.toml says, how to report.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::docker::container::{self, Container};
use crate::docker::leftovers;
use crate::host::lock::{self, Holder, IfHeld, Lock};
use crate::plan::Plan;
use crate::report::Report;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::units::count;
use crate::stack::manifest::Manifest;
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
}

impl Context {
    /// The stacks that `word` means; all of them where it is left out.
    ///
    /// # Errors
    /// When there is no such stack, its files cannot be read, or Composes may read its `.env`
    /// differently: the value that counts is then unknown.
    pub fn stacks(&self, word: Option<&str>) -> Result<Vec<Stack>> {
        let stacks = self.stacks_to_check(word)?;
        stacks.iter().try_for_each(|stack| self.refuse_unclear(stack))?;
        Ok(stacks)
    }

    /// As [`Context::stacks`], for those who report what is unclear in `.env`.
    ///
    /// # Errors
    /// When there is no such stack, or its files cannot be read.
    pub fn stacks_to_check(&self, word: Option<&str>) -> Result<Vec<Stack>> {
        let stacks = self.load(word)?;
        stacks.iter().try_for_each(refuse_broken)?;
        Ok(stacks)
    }

    fn refuse_unclear(&self, stack: &Stack) -> Result<()> {
        let unclear = stack.unclear();
        match unclear.as_slice() {
            [] => Ok(()),
            [only] => Err(Problem::from(only).into()),
            several => {
                several.iter().for_each(|finding| self.report.finding(finding));
                let found = format!("{} of {}", count(several.len(), "line"), stack.env_file());
                Err(Problem::prerequisite(
                    "env.ambiguous",
                    format!("{found} are unclear; see above"),
                )
                .into())
            }
        }
    }

    /// As [`Context::stacks`], for what must work although `.env` cannot be read.
    ///
    /// # Errors
    /// When there is no such stack, its other files cannot be read, or the name of its compose
    /// project is unclear: another project would be meant.
    pub fn stacks_whatever_env_says(&self, word: Option<&str>) -> Result<Vec<Stack>> {
        let stacks = self.load(word)?;
        match stacks.iter().find_map(Stack::unclear_project) {
            Some(finding) => Err(Problem::from(&finding).into()),
            None => Ok(stacks),
        }
    }

    fn load(&self, word: Option<&str>) -> Result<Vec<Stack>> {
        let definitions = self.manifest.select(word.unwrap_or("all"))?;
        let load = |definition| Stack::load(&self.root, definition, &self.overrides);
        definitions.into_iter().map(load).collect()
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

    /// The same stack with its files read anew, after they have been changed.
    ///
    /// # Errors
    /// As [`Context::stacks`].
    pub fn reload(&self, stack: &Stack) -> Result<Stack> {
        let stack = Stack::load(&self.root, &stack.definition, &self.overrides)?;
        refuse_broken(&stack)?;
        Ok(stack)
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

fn refuse_broken(stack: &Stack) -> Result<()> {
    let Some(line) = stack.env.broken_line() else { return Ok(()) };
    let found = format!("{}:{line}: this line is not text (UTF-8)", stack.env_file());
    Err(Problem::prerequisite("env.not-text", found)
        .mend("remove the line, or save the file as UTF-8")
        .into())
}

/// The repository's root: the nearest ancestor of the current directory with
/// `infrastructure/stacks.toml`, else where this program was built.
pub fn root() -> PathBuf {
    let is_root = |folder: &&Path| folder.join("infrastructure/stacks.toml").is_file();
    let current = std::env::current_dir().unwrap_or_default();
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    current.ancestors().find(is_root).unwrap_or(built).to_owned()
}
