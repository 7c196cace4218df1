//! The data that restores have kept: put back, or removed.

use anyhow::Result;

use super::journal::{Directory, Journal, Phase, removal};
use super::without_containers;
use crate::context::Context;
use crate::data::{Absence, Claim};
use crate::docker::location::Location;
use crate::plan::Plan;
use crate::stack::Stack;

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `--undo`: the data from before the last restore comes back.
    PutBack,
    /// `--drop`: everything that restores have kept is removed.
    Remove,
}

/// Data that a stack keeps, and what becomes of it.
#[derive(Debug)]
pub struct Kept {
    end: End,
    journal: Journal,
}

impl Kept {
    /// What `stack` keeps for `end`; where a restore was interrupted, what it will keep once that
    /// is settled. `None` where there is nothing.
    ///
    /// # Errors
    /// When the journal cannot be read, or the engine does not answer.
    pub fn of(stack: &Stack, end: End) -> Result<Option<Self>> {
        let Some(journal) = Journal::load(stack)? else { return Ok(None) };
        let is_moving = journal.phase == Phase::Swapping;
        let Some(journal) = journal.settled() else { return Ok(None) };
        let is_there = match end {
            End::Remove => !journal.kept().is_empty(),
            End::PutBack => {
                // On another machine the journal is all that can be looked at from here.
                let is_seen = !is_moving && Location::current()?.shares_paths();
                let is_kept =
                    |one: &Directory| !is_seen || stack.data_dir().join(&one.before).exists();
                journal.phase == Phase::Done && journal.directories.iter().any(is_kept)
            }
        };
        Ok(is_there.then_some(Self { end, journal }))
    }

    /// Whether an undo of `stack` was interrupted, which settling finishes.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn is_being_put_back(stack: &Stack) -> Result<bool> {
        Ok(Journal::load(stack)?.is_some_and(|journal| journal.phase == Phase::Undoing))
    }

    /// What will be done, to what, and what stays, for people.
    pub fn steps(&self, stack: &Stack) -> Vec<String> {
        let path = |name: &str| shown(stack, name);
        let Journal { set, directories, .. } = &self.journal;
        match self.end {
            End::PutBack => {
                let step = |one: &Directory| {
                    let (service, before) = (&one.service, path(&one.before));
                    let (now, undone) = (path(&one.path), path(&one.undone));
                    format!(
                        "{service}: {before} goes back to {now}; what is there now is kept as {undone}"
                    )
                };
                let what = format!(
                    "this undoes the restore of {set} in {}; nothing is lost",
                    stack.project()
                );
                [what].into_iter().chain(directories.iter().map(step)).collect()
            }
            End::Remove => {
                let in_use = stack.definition.services.iter().filter_map(|one| one.data.as_ref());
                let in_use: Vec<_> = in_use.map(|data| path(&data.path)).collect();
                vec![
                    format!("this removes for good: {}", self.paths(stack).join(", ")),
                    format!("what stays: the data in use ({}) and every set", in_use.join(", ")),
                ]
            }
        }
    }

    /// The directories that come back, or are removed.
    pub fn paths(&self, stack: &Stack) -> Vec<String> {
        let path = |name: &str| shown(stack, name);
        match self.end {
            End::PutBack => self.journal.directories.iter().map(|one| path(&one.before)).collect(),
            End::Remove => self.journal.kept().iter().map(|name| path(name)).collect(),
        }
    }

    /// The set whose restore is undone.
    pub fn set(&self) -> &str {
        &self.journal.set
    }

    /// The steps, with their commands.
    ///
    /// # Errors
    /// When the data is not here or in use by another, or the engine does not answer.
    pub fn plan(&self, cx: &Context, stack: &Stack) -> Result<Plan> {
        let claim = Claim::of(stack, Absence::Refused)?;
        match self.end {
            End::PutBack => {
                let mut plan = without_containers(cx, stack, &self.journal)?;
                plan.run("put the old directories back", self.journal.swap_back(stack, &claim)?);
                Ok(plan)
            }
            End::Remove => {
                let mut plan = Plan::new();
                let what = format!("remove {}", self.paths(stack).join(", "));
                plan.run(what, removal(stack, &claim, &self.journal.kept())?);
                Ok(plan)
            }
        }
    }

    /// Does it. Only for the holder of the project's lock, after what was interrupted is settled.
    ///
    /// # Errors
    /// When that cannot be done; the next `settle` goes on.
    pub fn carry_out(mut self, cx: &Context, stack: &Stack) -> Result<()> {
        let plan = self.plan(cx, stack)?;
        match self.end {
            End::PutBack => {
                self.journal.enter(stack, Phase::Undoing)?;
                plan.carry_out(&cx.report)?;
                self.journal.enter(stack, Phase::Undone)
            }
            End::Remove => {
                // First, so that no undo brings back what is only half there.
                self.journal.close(stack)?;
                plan.carry_out(&cx.report)?;
                Journal::forget(stack)
            }
        }
    }
}

/// A directory below the data directory, for people.
fn shown(stack: &Stack, name: &str) -> String {
    stack.data_dir().join(name).display().to_string()
}
