//! `cargo xtask backup restore --undo` and `--drop`.

use anyhow::Result;
use serde_json::json;

use super::which::Which;
use crate::backup::config::Config;
use crate::backup::folder::Folder;
use crate::backup::restore::kept::{End, Kept};
use crate::backup::settle;
use crate::context::Context;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::stack::Stack;

/// Puts back or removes what restores have kept: of the stacks that were named, else of the only
/// one that has something.
pub(super) fn run(cx: &Context, config: &Config, which: &Which, end: End) -> Result<()> {
    if let Some(word) = which.set(cx) {
        // Says which stacks there are.
        cx.manifest.select(word)?;
    }
    let stacks = match which.stack(cx) {
        Some(word) => cx.stacks(Some(word))?,
        None => vec![only(cx, end)?],
    };
    let mut done = false;
    for stack in &stacks {
        done |= of_stack(cx, config, stack, end)?;
    }
    match (done, end) {
        (true, _) => Ok(()),
        (false, End::PutBack) => {
            let names: Vec<_> = stacks.iter().map(Stack::name).collect();
            Err(nothing(end, &names.join(" and ")).into())
        }
        // Where it was named, it is as it was wanted.
        (false, End::Remove) => cx.report.document(schema(end), &json!({ "stacks": [] })),
    }
}

fn schema(end: End) -> &'static str {
    match end {
        End::PutBack => "xtask.backup-undo/v1",
        End::Remove => "xtask.backup-drop/v1",
    }
}

fn nothing(end: End, who: &str) -> Problem {
    match end {
        End::PutBack => Problem::failed(
            "restore.nothing-to-undo",
            format!("nothing to undo: {who} has no restore that could be undone"),
        ),
        End::Remove => Problem::failed(
            "restore.nothing-to-drop",
            format!("nothing to drop: {who} keeps no data of a restore"),
        ),
    }
}

/// The one stack that has something, where none was named.
fn only(cx: &Context, end: End) -> Result<Stack> {
    let mut found = Vec::new();
    for stack in cx.stacks_by_place(Some("all"))? {
        let is_interrupted = end == End::PutBack && Kept::is_being_put_back(&stack)?;
        if is_interrupted || Kept::of(&stack, end)?.is_some() {
            found.push(stack);
        }
    }
    match found.as_slice() {
        [] => Err(nothing(end, "no stack").into()),
        [stack] => cx.stack(stack.short()),
        several => {
            let retype = if end == End::Remove { Xtask::BackupDrop } else { Xtask::BackupUndo };
            let ways = several.iter().map(|stack| retype(stack.on()));
            Err(Problem::usage("stack.several", "restores of several stacks have kept data")
                .mend(ways.fold(Advice::none(), Advice::or))
                .into())
        }
    }
}

/// Whether there was something to do.
fn of_stack(cx: &Context, config: &Config, stack: &Stack, end: End) -> Result<bool> {
    // What is kept lies beside the data: it can be had back without the backup folder.
    let folder = Folder::of(cx, config, stack).ok();
    let lock = |folder: &Folder| super::lock(cx, folder, [stack], "backup restore");
    let _folder_lock = folder.as_ref().map(lock).transpose()?;
    let _lock = cx.lock(stack, "backup restore")?;
    cx.remove_leftovers(&stack.project())?;
    let is_finished = end == End::PutBack && Kept::is_being_put_back(stack)?;
    settle(cx, stack)?;
    let Some(kept) = Kept::of(stack, end)? else {
        if !is_finished {
            cx.report.done(nothing(end, stack.name()).message);
        } else if !cx.dry_run {
            super::start(cx, stack, UNDONE)?;
        }
        return Ok(is_finished);
    };
    if cx.dry_run {
        return cx.execute(kept.plan(cx, stack)?).map(|()| true);
    }
    for step in kept.steps(stack) {
        cx.report.warning(step);
    }
    super::confirm(cx, stack)?;
    let (set, paths) = (kept.set().to_owned(), kept.paths(stack));
    kept.carry_out(cx, stack)?;
    let document = match end {
        End::PutBack => {
            super::start(cx, stack, UNDONE)?;
            cx.report.line(format!("undid the restore of {set} in {}", stack.project()));
            json!({ "stack": stack.name(), "set": set, "directories": paths })
        }
        End::Remove => {
            cx.report.line(format!("removed {}", paths.join(", ")));
            json!({ "stack": stack.name(), "directories": paths })
        }
    };
    cx.report.document(schema(end), &json!({ "stacks": [document] })).map(|()| true)
}

const UNDONE: &str = "the data from before is back, but the stack does not come up; the data that had been restored is kept";
