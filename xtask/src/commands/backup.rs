//! `cargo xtask backup`: one file a subcommand in `backup/`.

mod create;
mod drill;
mod list;
mod prune;
mod restore;
mod show;
mod verify;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Subcommand;

use crate::backup::config::Config;
use crate::backup::drill::name as drill_name;
use crate::backup::folder::Folder;
use crate::backup::set::Set;
use crate::context::Context;
use crate::host::lock::Lock;
use crate::report::finding::Problem;
use crate::stack::Stack;

/// Back up, verify, restore, and prove by drills that it works
///
/// Without a subcommand: `create`, for every stack that is up.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    create: create::Args,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(create::Args),
    List(list::Args),
    Show(show::Args),
    Verify(verify::Args),
    Restore(restore::Args),
    Drill(drill::Args),
    Prune(prune::Args),
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// As the subcommand.
    pub fn run(self, cx: &Context) -> Result<()> {
        let config = Config::load(&cx.root)?;
        match self.action {
            None => self.create.run(cx, &config),
            Some(Action::Create(args)) => args.run(cx, &config),
            Some(Action::List(args)) => args.run(cx, &config),
            Some(Action::Show(args)) => args.run(cx, &config),
            Some(Action::Verify(args)) => args.run(cx, &config),
            Some(Action::Restore(args)) => args.run(cx, &config),
            Some(Action::Drill(args)) => args.run(cx, &config),
            Some(Action::Prune(args)) => args.run(cx, &config),
        }
    }
}

/// Waits until nobody else changes `folder`, and removes what killed drills have left.
fn lock<'a>(
    cx: &Context,
    folder: &Folder,
    stacks: impl IntoIterator<Item = &'a Stack>,
    what: &str,
) -> Result<Lock> {
    let lock = folder.lock(&cx.report, what)?;
    for stack in stacks {
        cx.remove_leftovers(&drill_name(&stack.project()))?;
    }
    Ok(lock)
}

/// The backup folders of `stacks`, each with the stacks that share it.
fn folders(
    cx: &Context,
    config: &Config,
    word: Option<&str>,
) -> Result<BTreeMap<Folder, Vec<Stack>>> {
    let mut folders = BTreeMap::<_, Vec<_>>::new();
    for stack in cx.stacks(word)? {
        folders.entry(Folder::of(cx, config, &stack)).or_default().push(stack);
    }
    Ok(folders)
}

/// The set that `word` means, in any folder, with the folder. `latest` is of this project alone.
fn find(cx: &Context, config: &Config, word: &str, stack: Option<&str>) -> Result<(Folder, Set)> {
    let mut found = Vec::new();
    let mut missing = None;
    for (folder, stacks) in folders(cx, config, stack)? {
        let projects: Vec<_> = stacks.iter().map(Stack::project).collect();
        match folder.find(word, |set| projects.contains(&set.manifest.project)) {
            Ok(set) => found.push((folder, set)),
            Err(error) => missing = Some(error),
        }
    }
    match (found.pop(), found.is_empty(), missing) {
        (Some(only), true, _) => Ok(only),
        (None, _, Some(missing)) => Err(missing),
        _ => Err(Problem::usage("set.ambiguous", format!("several folders have a set `{word}`"))
            .mend("name the stack: --stack STACK")
            .into()),
    }
}

/// Whether one of `stacks` made it.
fn is_of(set: &Set, stacks: &[Stack]) -> bool {
    stacks
        .iter()
        .any(|stack| stack.project() == set.manifest.project && stack.name() == set.manifest.stack)
}
