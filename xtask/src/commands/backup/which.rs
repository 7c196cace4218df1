//! `[STACK] [SET]`: the words with which a subcommand is told what it is about.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::backup::config::Config;
use crate::backup::folder::{Folder, LATEST};
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
}

/// Writes the command line that means the same with the stack named.
pub(super) type Retype = fn(On, String) -> Xtask;

/// A set that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it lies.
    pub(super) folder: Folder,
    pub(super) set: Set,
    /// Whose it is.
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
        let stacks = cx.stacks(stack)?;
        match set {
            None => {
                let ways = stacks.iter().map(|stack| retype(stack.on(), LATEST.to_owned()));
                let problem = Problem::usage("set.unnamed", "no set is named");
                Err(problem.mend(ways.fold(Advice::none(), Advice::or)).into())
            }
            Some(LATEST) => latest(cx, config, stacks, retype),
            Some(word) => by_id(cx, config, word, stack.map(|_| stacks), retype),
        }
    }
}

/// `latest dev` for `dev latest`.
fn refuse_swapped(cx: &Context, first: &str, second: &str, retype: Retype) -> Result<()> {
    if cx.manifest.select(first).is_ok() || cx.manifest.select(second).is_err() {
        return Ok(());
    }
    let ways = cx.stacks(Some(second))?;
    let ways = ways.iter().map(|stack| retype(stack.on(), first.to_owned()));
    Err(Problem::usage("usage", "the stack comes before the set")
        .mend(ways.fold(Advice::none(), Advice::or))
        .into())
}

/// The newest set of the one stack that has any.
fn latest(cx: &Context, config: &Config, stacks: Vec<Stack>, retype: Retype) -> Result<Found> {
    let (mut found, mut missing) = (Vec::new(), None);
    for stack in stacks {
        let folder = Folder::of(cx, config, &stack);
        match folder.find(LATEST, |set| super::is_of(set, std::slice::from_ref(&stack))) {
            Ok(set) => found.push(Found { folder, set, stack }),
            Err(error) => missing = Some(error),
        }
    }
    match (found.len(), found.pop(), missing) {
        (1, Some(only), _) => Ok(only),
        (_, None, Some(missing)) => Err(missing),
        (_, last, _) => {
            found.extend(last);
            let names: Vec<_> = found.iter().map(|found| found.stack.name()).collect();
            let problem = Problem::usage(
                "set.ambiguous",
                format!("`{LATEST}` could be the set of {}", names.join(" or of ")),
            );
            let ways = found.iter().map(|found| retype(found.stack.on(), LATEST.to_owned()));
            Err(problem.mend(ways.fold(Advice::none(), Advice::or)).into())
        }
    }
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
    let (mut found, mut missing) = (Vec::new(), None);
    let stacks = cx.stacks(None)?;
    let folders: BTreeSet<_> = stacks.iter().map(|stack| Folder::of(cx, config, stack)).collect();
    for folder in folders {
        // A set that is not of the named stack is better named than called unknown.
        match folder.find(word, is_named).or_else(|_| folder.find(word, |_| true)) {
            Ok(set) => found.push((folder, set)),
            Err(error) => missing = Some(error),
        }
    }
    let (folder, set) = match (found.pop(), found.is_empty(), missing) {
        (Some(only), true, _) => only,
        (None, _, Some(missing)) => return Err(missing),
        _ => {
            let found = format!("several backup folders have a set `{word}`");
            return Err(Problem::usage("set.ambiguous", found)
                .mend("give the whole id, or name the stack before it")
                .into());
        }
    };
    let stack = cx.stack(&set.manifest.stack)?;
    if !is_named(&set) {
        let found = format!("{} is a set of {}", set.id, stack.name());
        return Err(Problem::usage("set.other-stack", found)
            .mend(retype(stack.on(), set.id.to_string()))
            .into());
    }
    Ok(Found { folder, set, stack })
}
