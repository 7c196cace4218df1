//! `[STACK] [SET]`: the words with which a subcommand is told what it is about.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::backup::config::Config;
use crate::backup::damaged::{DAMAGED, Damaged};
use crate::backup::folder::{AMBIGUOUS, Folder, LATEST, Latest, UNKNOWN};
use crate::backup::set::Set;
use crate::context::Context;
use crate::report::advice::{Advice, On, Xtask};
use crate::report::finding::Problem;
use crate::stack::Stack;

/// The stack, and the set of it.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The stack; not needed before a set's id, which names it
    #[arg(value_name = "STACK")]
    stack: Option<String>,
    /// The set: `latest`, its id, or an unambiguous beginning of its id
    #[arg(value_name = "SET")]
    set: Option<String>,
    /// Understood where older scripts have it
    #[arg(
        long = "stack",
        id = "stack-option",
        value_name = "STACK",
        hide = true,
        conflicts_with = "set"
    )]
    option: Option<String>,
    /// With `latest`: the project that made the set, as on a machine where this one has another name
    #[arg(long, value_name = "NAME")]
    from_project: Option<String>,
}

/// Writes the command line that means the same with the stack named.
pub(super) type Retype = fn(On, String) -> Xtask;

/// A set that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it lies.
    pub(super) folder: Folder,
    pub(super) set: Set,
    /// Whose it is. Of its `.env` nothing but [`Stack::place`] was looked at.
    pub(super) stack: Stack,
}

impl Which {
    /// The word for a stack, if one was given.
    pub(super) fn stack<'a>(&'a self, cx: &Context) -> Option<&'a str> {
        self.split(cx).0
    }

    /// The word for a set, if one was given.
    pub(super) fn set<'a>(&'a self, cx: &Context) -> Option<&'a str> {
        self.split(cx).1
    }

    fn split<'a>(&'a self, cx: &Context) -> (Option<&'a str>, Option<&'a str>) {
        match (self.stack.as_deref(), self.set.as_deref(), self.option.as_deref()) {
            (first, None, Some(stack)) => (Some(stack), first),
            (Some(only), None, None) if cx.manifest.select(only).is_err() => (None, Some(only)),
            (first, second, _) => (first, second),
        }
    }

    /// The one set that is meant.
    ///
    /// # Errors
    /// A usage problem when no set was named, there is none, or several are meant.
    pub(super) fn find(&self, cx: &Context, config: &Config, retype: Retype) -> Result<Found> {
        let (stack, set) = self.split(cx);
        if let (Some(first), Some(second)) = (stack, set) {
            refuse_swapped(cx, first, second, retype)?;
        }
        let stacks = cx.stacks_by_place(Some(stack.unwrap_or("all")))?;
        match set {
            None => {
                let ways = stacks.iter().map(|stack| retype(stack.on(), LATEST.to_owned()));
                let problem = Problem::usage("set.unnamed", "no set is named");
                Err(problem.mend(ways.fold(Advice::none(), Advice::or)).into())
            }
            Some(LATEST) => latest(cx, config, stacks, self.from_project.as_deref(), retype),
            Some(word) => by_id(cx, config, word, stack.map(|_| stacks), retype),
        }
    }
}

/// `latest dev` for `dev latest`.
fn refuse_swapped(cx: &Context, first: &str, second: &str, retype: Retype) -> Result<()> {
    if cx.manifest.select(first).is_ok() || cx.manifest.select(second).is_err() {
        return Ok(());
    }
    let ways = cx.stacks_by_place(Some(second))?;
    let ways = ways.iter().map(|stack| retype(stack.on(), first.to_owned()));
    Err(Problem::usage("usage", "the stack comes before the set")
        .mend(ways.fold(Advice::none(), Advice::or))
        .into())
}

/// What is said instead of taking another set than the newest.
fn substitute(bad: &Damaged, before: Option<&Set>, stack: &Stack, retype: Retype) -> Problem {
    let problem = bad.problem();
    let message = format!("the newest set of {} is damaged: {}", stack.name(), problem.message);
    let instead = before.map(|set| {
        let command = retype(stack.on(), set.id.to_string());
        format!("take the one before it, of {}: {command}", set.manifest.started)
    });
    let mend = instead.into_iter().fold(problem.mend, Advice::or);
    Problem::failed(DAMAGED, message).mend(mend)
}

/// The newest set of the one stack that has any, of `project` where one is named.
fn latest(
    cx: &Context,
    config: &Config,
    stacks: Vec<Stack>,
    project: Option<&str>,
    retype: Retype,
) -> Result<Found> {
    let (mut found, mut missing) = (Vec::new(), None);
    for stack in stacks {
        let folder = Folder::of(cx, config, &stack)?;
        let Latest { set, newer } = newest(&folder, &stack, project)?;
        if let Some(bad) = newer.last() {
            return Err(substitute(bad, set.as_ref(), &stack, retype).into());
        }
        match set {
            Some(set) => found.push(Found { folder, set, stack }),
            None => missing = Some(none(&folder, &stack, retype)?),
        }
    }
    match (found.len(), found.pop(), missing) {
        (1, Some(only), _) => Ok(only),
        (_, None, Some(missing)) => Err(missing.into()),
        (_, last, _) => {
            found.extend(last);
            let names: Vec<_> = found.iter().map(|found| found.stack.name()).collect();
            let problem = Problem::usage(
                AMBIGUOUS,
                format!("`{LATEST}` could be the set of {}", names.join(" or of ")),
            );
            let ways = found.iter().map(|found| retype(found.stack.on(), LATEST.to_owned()));
            Err(problem.mend(ways.fold(Advice::none(), Advice::or)).into())
        }
    }
}

/// The newest set of `stack` by `project`: the name as Compose has it, or as `--project` takes it.
fn newest(folder: &Folder, stack: &Stack, project: Option<&str>) -> Result<Latest> {
    let Some(project) = project else { return folder.latest(&stack.project(), stack.name()) };
    let found = folder.latest(project, stack.name())?;
    if found.set.is_some() || !found.newer.is_empty() {
        return Ok(found);
    }
    folder.latest(&format!("{project}-{}", stack.name()), stack.name())
}

/// What to say where `stack` has no set: each other project's newest, if any.
fn none(folder: &Folder, stack: &Stack, retype: Retype) -> Result<Problem> {
    let (sets, _) = folder.sets()?;
    let of_stack = sets.iter().filter(|set| set.manifest.stack == *stack.name());
    let newest: BTreeMap<_, _> = of_stack.map(|set| (&set.manifest.project, &set.id)).collect();
    if newest.is_empty() {
        let found = format!("no set `{LATEST}` in {}", folder.path().display());
        return Ok(Problem::usage(UNKNOWN, found).mend(Xtask::BackupList));
    }
    let names: Vec<_> = newest.keys().map(|project| project.to_string()).collect();
    let found = format!(
        "the project {} has no set; there are sets of {}",
        stack.project(),
        names.join(", ")
    );
    let ways = newest.values().map(|id| retype(stack.on(), id.to_string()));
    Ok(Problem::usage(UNKNOWN, found).mend(ways.fold(Advice::none(), Advice::or)))
}

/// The set whose id begins with `word`; `named` are the stacks that were named with it.
fn by_id(
    cx: &Context,
    config: &Config,
    word: &str,
    named: Option<Vec<Stack>>,
    retype: Retype,
) -> Result<Found> {
    let is_named = |set: &Set| {
        let is_its = |stack: &Stack| set.manifest.stack == *stack.name();
        named.as_ref().is_none_or(|stacks| stacks.iter().any(is_its))
    };
    let mut stacks = cx.stacks_by_place(Some("all"))?;
    let folders = stacks.iter().map(|stack| Folder::of(cx, config, stack));
    let folders = folders.collect::<Result<BTreeSet<_>>>()?;
    let (folder, set) = match in_folders(&folders, word, &is_named) {
        // A set that is not of the named stack is better named than called unknown.
        Err(error) if is(&error, UNKNOWN) => in_folders(&folders, word, &|_| true)?,
        found => found?,
    };
    let name = &set.manifest.stack;
    let stack = match stacks.iter().position(|stack| *name == *stack.name()) {
        Some(at) => stacks.swap_remove(at),
        None => cx.stack(name)?,
    };
    if !is_named(&set) {
        let found = format!("{} is a set of {}", set.id, stack.name());
        return Err(Problem::usage("set.other-stack", found)
            .mend(retype(stack.on(), set.id.to_string()))
            .into());
    }
    Ok(Found { folder, set, stack })
}

/// The one set among those that are `wanted` whose id begins with `word`, and its folder.
fn in_folders(
    folders: &BTreeSet<Folder>,
    word: &str,
    wanted: &dyn Fn(&Set) -> bool,
) -> Result<(Folder, Set)> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for folder in folders {
        match folder.find(word, wanted) {
            Ok(set) => found.push((folder.clone(), set)),
            Err(error) => missing.push(error),
        }
    }
    if let Some(at) = found.iter().position(|(_, set)| set.id == *word) {
        return Ok(found.swap_remove(at));
    }
    // Of those that are not merely unknown, something can be said.
    missing.sort_by_key(|error| is(error, UNKNOWN));
    match (found.pop(), found.is_empty(), missing.into_iter().next()) {
        (_, _, Some(error)) if is(&error, AMBIGUOUS) || is(&error, DAMAGED) => Err(error),
        (Some(only), true, _) => Ok(only),
        (None, _, Some(error)) => Err(error),
        (None, _, None) => Err(Problem::usage(UNKNOWN, "there is no backup folder").into()),
        (Some(_), false, _) => {
            let found = format!("several backup folders have a set `{word}`");
            Err(Problem::usage(AMBIGUOUS, found)
                .mend("give the whole id, or name the stack before it")
                .into())
        }
    }
}

fn is(error: &anyhow::Error, id: &str) -> bool {
    error.downcast_ref::<Problem>().is_some_and(|problem| problem.id == id)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::backup::example;
    use crate::host::signature::SigningKey;

    /// Makes a set of `stack` in the folder.
    fn set(folder: &Path, stack: &str, second: u32) {
        let sets = folder.join("sets");
        std::fs::create_dir_all(&sets).unwrap();
        let mut manifest = example::development().manifest;
        manifest.stack = stack.try_into().unwrap();
        manifest.started = format!("2026-11-23T13:15:{second:02}Z").parse().unwrap();
        manifest.commit(&sets, &SigningKey::random().unwrap()).unwrap();
    }

    #[test]
    fn a_set_is_looked_for_in_every_folder_before_one_of_another_stack_is_taken() {
        let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        set(folders[0].path(), "monitoring", 1);
        set(folders[1].path(), "development", 2);
        set(folders[1].path(), "development", 13);
        let folders: BTreeSet<_> = folders.iter().map(|folder| Folder::at(folder.path())).collect();
        let find = |word: &str, stack: Option<&str>| {
            let wanted = |set: &Set| stack.is_none_or(|stack| set.manifest.stack == *stack);
            match in_folders(&folders, word, &wanted) {
                Ok((_, set)) => set.id.to_string(),
                Err(error) => error.downcast::<Problem>().unwrap().id.to_owned(),
            }
        };
        let first = "20261123T131501Z-app-monitoring";
        assert_eq!(find("2026", Some("monitoring")), first);
        assert_eq!(find("20261123T131501", None), first);
        assert_eq!(find(first, None), first);
        assert_eq!(find(first, Some("development")), UNKNOWN);
        assert_eq!(find("2026", None), AMBIGUOUS);
        assert_eq!(find("20261123T13150", None), AMBIGUOUS);
        assert_eq!(find("2026", Some("development")), AMBIGUOUS);
        assert_eq!(find("1999", None), UNKNOWN);
    }
}
