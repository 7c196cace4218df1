//! `cargo xtask backup`: one file a subcommand in `backup/`.

mod accepted;
mod create;
mod drill;
mod failures;
mod kept;
mod list;
mod prune;
mod restore;
mod show;
mod verify;
mod which;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use jiff::Timestamp;

use crate::backup::config::Config;
use crate::backup::drill::name as drill_name;
use crate::backup::folder::Folder;
use crate::backup::order;
use crate::backup::set::Set;
use crate::backup::signature;
use crate::context::Context;
use crate::data::Absence;
use crate::host::lock::Lock;
use crate::lifecycle::Start;
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::report::nearest::nearest;
use crate::stack::Stack;

/// Longest wait for the restored services to answer.
const LIMIT: Duration = Duration::from_secs(600);

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
            None => {
                refuse_mistyped(cx, self.create.stack())?;
                self.create.run(cx, &config)
            }
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

/// `backup lst` is a set of the stack `lst` to the parser.
fn refuse_mistyped(cx: &Context, stack: Option<&str>) -> Result<()> {
    let Some(word) = stack.filter(|word| cx.manifest.select(word).is_err()) else { return Ok(()) };
    let command = Action::augment_subcommands(clap::Command::new("backup"));
    let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    let Some(near) = nearest(word, &names) else { return Ok(()) };
    let found = format!("there is neither a stack nor a subcommand `{word}`");
    let meant = Xtask::Meant(vec!["backup".to_owned(), near.to_owned()]);
    Err(Problem::usage("stack.unknown", found).mend(format!("did you mean: {meant}")).into())
}

/// Waits until nobody else changes `folder`, removes what killed drills have left, and has the
/// repository remember a folder that has sets; none of it where nothing is to be changed.
fn lock<'a>(
    cx: &Context,
    folder: &Folder,
    stacks: impl IntoIterator<Item = &'a Stack>,
    what: &str,
) -> Result<Option<Lock>> {
    if cx.dry_run {
        return Ok(None);
    }
    let lock = folder.lock(&cx.report, what)?;
    if !folder.is_empty()? {
        folder.remember(cx)?;
    }
    let manifests = folder.manifests()?;
    for stack in stacks {
        signature::make_key(&cx.report, stack, &manifests)?;
        cx.remove_leftovers(&drill_name(&stack.project()))?;
    }
    Ok(Some(lock))
}

/// The backup folders of `stacks`, each with the stacks that share it.
fn folders(
    cx: &Context,
    config: &Config,
    word: Option<&str>,
) -> Result<BTreeMap<Folder, Vec<Stack>>> {
    let mut folders = BTreeMap::<_, Vec<_>>::new();
    for stack in cx.stacks_by_place(word)? {
        folders.entry(Folder::of(cx, config, &stack)?).or_default().push(stack);
    }
    Ok(folders)
}

/// What `doctor` says of the dates of the sets of `stacks`; a folder that cannot be read is the
/// backup commands' to report.
pub(super) fn dates(cx: &Context, stacks: Option<&str>) -> Vec<Finding> {
    let find = || -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (folder, stacks) in folders(cx, &Config::load(&cx.root)?, stacks)? {
            let (mut sets, _) = folder.sets()?;
            sets.retain(|set| is_of(set, &stacks));
            findings.extend(order::findings(&sets, Timestamp::now()));
        }
        Ok(findings)
    };
    find().unwrap_or_default()
}

/// Whether one of `stacks` made it.
fn is_of(set: &Set, stacks: &[Stack]) -> bool {
    stacks
        .iter()
        .any(|its| set.manifest.project == *its.project() && set.manifest.stack == *its.name())
}

/// Starts the stack on the data that is in place now; `otherwise` says what has happened where
/// that fails.
fn start(cx: &Context, stack: &Stack, otherwise: &'static str) -> Result<()> {
    let start = Start {
        offline: false,
        absence: Absence::Refused,
        limit: LIMIT,
        again: Xtask::Up(stack.on()),
    };
    start.run(cx, stack).map_err(|error| error.context(otherwise))
}

fn confirm(cx: &Context, stack: &Stack) -> Result<()> {
    let project = stack.project();
    if cx.yes || cx.report.ask(&format!("Type {project} to go on:")).as_deref() == Some(&project) {
        return Ok(());
    }
    Err(Problem::failed("restore.not-confirmed", "nothing was changed")
        .mend("type the project's name when asked, or give --yes")
        .into())
}
