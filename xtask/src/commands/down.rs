//! `cargo xtask down`.

use std::path::PathBuf;

use anyhow::Result;

use crate::backup;
use crate::context::Context;
use crate::data::{self, Absence, Claim};
use crate::docker::container::PROJECT;
use crate::docker::engine::Engine;
use crate::docker::helper::Helper;
use crate::docker::location::Location;
use crate::docker::{self, docker};
use crate::doctor::{self, Intent};
use crate::host::user;
use crate::logs::removal::removal;
use crate::metrics::wanted;
use crate::plan::Plan;
use crate::process::Cmd;
use crate::report::advice::Xtask;
use crate::report::finding::{Problem, resumed_by};
use crate::setup::directories::of_services as wanted_by_services;
use crate::setup::inspect::{Found, inspect};
use crate::setup::{network, origin};
use crate::stack::Stack;

/// Stop a stack and remove its containers and network; the data stays
///
/// Works on a half-started stack, and on one whose .env has values that are missing, wrong or
/// unclear, except COMPOSE_PROJECT_NAME, DATA_DIR and the network's name, which must be clear.
/// --purge needs the whole file, and asks for the name of the compose project, such as
/// case-interview-development; .env, backups and logs stay.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack
    stack: String,
    /// Remove the data of its services too; asks for the name of the compose project
    #[arg(long)]
    purge: bool,
}

impl Args {
    /// Takes the stacks down, the last started first.
    ///
    /// # Errors
    /// When the engine does not answer, or the purge is not confirmed.
    pub fn run(self, cx: &Context) -> Result<()> {
        let word = Some(self.stack.as_str());
        let mut stacks = if self.purge { cx.stacks(word)? } else { cx.stacks_by_place(word)? };
        stacks.reverse();
        Engine::ask()?;
        if !self.purge {
            cx.require_project(&stacks)?;
        }
        for stack in &stacks {
            let _lock = cx.lock(stack, &format!("down {}", self.stack))?;
            if self.purge {
                doctor::refuse_unfit(cx, stack, Intent::Purge)?;
                origin::refuse_unrecorded(stack)?;
            }
            if self.purge && !cx.dry_run {
                confirm(cx, stack)?;
            }
            cx.remove_leftovers(&stack.project())?;
            if self.purge {
                backup::settle(cx, stack)?;
            }
            let claim = self.purge.then(|| Claim::of(stack, Absence::Refused)).transpose()?;
            let _network = network::lock(cx, stack, "down")?;
            let mut plan = meant_to_be_down(cx, stack)?;
            plan.append(take_down(cx, stack)?);
            plan.append(data::release(stack));
            if let Some(claim) = &claim {
                plan.append(purge(stack, claim)?);
            }
            if plan.is_empty() {
                cx.report.done(format!("{} is down", stack.name()));
            }
            let again = if self.purge { Xtask::DownPurge } else { Xtask::Down }(stack.on());
            let done = "the steps above are done, the others are not";
            cx.execute(plan).map_err(|error| resumed_by(error, done, again))?;
        }
        Ok(())
    }
}

/// The word that alerts about the stack end by. `down` works without it, such as for somebody who may use
/// the engine and not write there.
fn meant_to_be_down(cx: &Context, stack: &Stack) -> Result<Plan> {
    let folder = stack.data_dir().join("metrics");
    if !stack.unclear().is_empty() || !folder.is_dir() {
        return Ok(Plan::new());
    }
    if rustix::fs::access(&folder, rustix::fs::Access::WRITE_OK).is_err() {
        let folder = folder.display();
        cx.report.warning(format!("alerts about {} stay: {folder} is not writable", stack.name()));
        return Ok(Plan::new());
    }
    wanted::plan(stack, false)
}

/// By label and not through Compose, which refuses to work when a variable is missing.
fn take_down(cx: &Context, stack: &Stack) -> Result<Plan> {
    let containers = cx.containers(stack)?;
    let mut plan = removal(stack, &containers.iter().collect::<Vec<_>>(), "");
    let filter = format!("label={PROJECT}={}", stack.project());
    let networks =
        docker().args(["network", "ls", "--format", "{{.Name}}", "--filter", &filter]).read()?;
    for name in networks.lines() {
        plan.run(format!("remove the network {name}"), docker::network::remove(name));
    }
    plan.append(network::removal(stack)?);
    Ok(plan)
}

fn confirm(cx: &Context, stack: &Stack) -> Result<()> {
    let project = stack.project();
    let lost: Vec<_> = lost(stack).map(|path| path.display().to_string()).collect();
    cx.report.warning(format!("this loses the data of {project} for good: {}", lost.join(", ")));
    let kept = stack.definition.own_directories.iter().map(|directory| directory.path.as_str());
    let kept: Vec<_> = [stack.env_file()].into_iter().chain(kept.map(str::to_owned)).collect();
    cx.report.progress(format!("what stays: {}", kept.join(", ")));
    let question = format!("Type the name of the compose project, {project}, to go on:");
    if cx.yes || cx.report.ask(&question).as_deref() == Some(&project) {
        return Ok(());
    }
    Err(Problem::failed("purge.not-confirmed", "nothing was changed")
        .mend(format!("type {project} when asked, or give --yes"))
        .into())
}

/// What `--purge` removes: the services' data, not backups or logs.
fn lost(stack: &Stack) -> impl Iterator<Item = PathBuf> {
    wanted_by_services(stack).map(|directory| stack.data_path(directory))
}

/// Renamed before it is removed, so that half of it is never taken for data.
const SCRIPT: &str = r#"cd "$1"; for name in $2; do rm -rf "$name.purged"; if [ -d "$name" ]; then mv "$name" "$name.purged"; rm -rf "$name.purged"; fi; done"#;

fn purge(stack: &Stack, claim: &Claim) -> Result<Plan> {
    let mut plan = Plan::new();
    let is_there = |path: &PathBuf| {
        let purged = path.with_extension("purged");
        [path, &purged]
            .iter()
            .any(|path| inspect(path).map_or(true, |found| found != Found::Nothing))
    };
    let place = Location::current()?;
    if place.shares_paths() && !lost(stack).any(|path| is_there(&path)) {
        return Ok(plan);
    }
    let names: Vec<_> =
        wanted_by_services(stack).map(|directory| directory.path.as_str()).collect();
    plan.append(claim.forget(stack)?);
    plan.append(origin::going(stack)?);
    let what = format!("remove {} in {}", names.join(", "), stack.data_dir().display());
    if user::is_root() && place.shares_owners() {
        let cmd = Cmd::new("sh").args(["-euc", SCRIPT, "sh"]).arg(stack.data_dir());
        plan.run(what, cmd.arg(names.join(" ")));
    } else {
        let image = stack.image(stack.service(&stack.definition.helper)?)?;
        let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
        plan.run(what, helper.cmd(SCRIPT, &["/data".to_owned(), names.join(" ")]));
    }
    plan.append(origin::forget(stack));
    Ok(plan)
}
