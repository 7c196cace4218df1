//! `cargo xtask backup`: one file a subcommand in `backup/`.

mod create;
mod drill;
mod list;
mod prune;
mod restore;
mod show;
mod verify;
mod which;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Subcommand;

use crate::backup::config::Config;
use crate::backup::drill::name as drill_name;
use crate::backup::folder::Folder;
use crate::backup::set::Set;
use crate::context::Context;
use crate::host::lock::Lock;
use crate::stack::Stack;

/// Back up, verify and restore, and prove by drills that restores work
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
    for stack in cx.stacks_by_place(word)? {
        folders.entry(Folder::of(cx, config, &stack)).or_default().push(stack);
    }
    Ok(folders)
}

/// Whether one of `stacks` made it.
fn is_of(set: &Set, stacks: &[Stack]) -> bool {
    stacks
        .iter()
        .any(|its| set.manifest.project == *its.project() && set.manifest.stack == *its.name())
}
