//! `cargo xtask up`.

use std::time::Duration;

use anyhow::Result;

use crate::alerts;
use crate::backup;
use crate::commands::urls;
use crate::context::Context;
use crate::data::Absence;
use crate::docker::engine::Engine;
use crate::docker::location::Location;
use crate::doctor;
use crate::images::unpulled::NO_REGISTRY;
use crate::lifecycle::Start;
use crate::metrics::wanted;
use crate::offline::PROGRAMS;
use crate::report::advice::Xtask;
use crate::report::finding::{Problem, Severity, resumed_by};
use crate::schedule::{self, home::Home};
use crate::stack::Stack;

/// Set up if needed, start, wait until every service answers, print the endpoints
///
/// A second `up` recreates only what is configured differently since.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack
    stack: String,
    /// Use the offline images: build those that are missing, and write the choice into .env
    #[arg(long)]
    offline: bool,
    /// First mend what is safe to mend, as `doctor --fix` does
    #[arg(long)]
    fix: bool,
    /// Begin anew where data was and is not: a disk that was given up, a directory that was moved
    /// away. Without it, that is an error, since a disk may not be mounted
    #[arg(long)]
    fresh: bool,
    /// Longest wait for the services to become ready, in seconds
    #[arg(long, default_value_t = 180, value_name = "SECONDS")]
    timeout: u64,
}

impl Args {
    /// Starts the stacks one after the other.
    ///
    /// # Errors
    /// When a prerequisite is missing, a step fails, or a service does not answer in time.
    pub fn run(self, cx: &Context) -> Result<()> {
        let stacks = cx.stacks(Some(&self.stack))?;
        if self.fix {
            doctor::fix::mend_machine(cx, if self.offline { &PROGRAMS } else { &[] })?;
        }
        Engine::ask()?;
        for stack in stacks {
            let again = if self.offline { Xtask::UpOffline } else { Xtask::Up }(stack.on());
            let done = "completed steps are kept, and started services keep running";
            self.up(cx, stack, &again).map_err(|error| resumed_by(error, done, again.clone()))?;
        }
        Ok(())
    }

    fn up(&self, cx: &Context, stack: Stack, again: &Xtask) -> Result<()> {
        let _lock = cx.lock(&stack, &format!("up {}", self.stack))?;
        cx.remove_leftovers(&stack.project())?;
        backup::settle(cx, &stack)?;
        let absence = if self.fresh { Absence::Accepted } else { Absence::Refused };
        let limit = Duration::from_secs(self.timeout);
        let start = Start { offline: self.offline, absence, limit, again: again.clone() };
        if let Err(error) = start.run(cx, &stack) {
            let question = "No registry can be reached. Build offline images instead (see tests/images/README.md)?";
            let can_help = is_without_registry(&error) && !self.offline;
            if !can_help || !cx.report.confirm(question) {
                return Err(error);
            }
            Start { offline: true, ..start }.run(cx, &stack)?;
        }
        if cx.dry_run {
            return Ok(());
        }
        let stack = cx.reload(&stack)?;
        warn_of_offline(cx, &stack);
        warn_of_silence(cx, &stack)?;
        record_schedule(cx)?;
        urls::print(cx, std::slice::from_ref(&stack), urls::Form::default())
    }
}

/// Where nobody has said whether work is to run by itself, what is installed says it: nobody is paged
/// because there are no backups on a machine that is not to make any.
fn record_schedule(cx: &Context) -> Result<()> {
    let Ok(home) = Home::of(cx) else { return Ok(()) };
    if !Location::current()?.shares_paths() || wanted::schedule(&home.data_dir)?.is_some() {
        return Ok(());
    }
    // Another user may have installed it, whose entries we do not see.
    let is_installed = schedule::installed(&home)?.is_some() || home.program().exists();
    wanted::schedule_plan(&home.data_dir, is_installed)?.carry_out(&cx.report)
}

fn is_without_registry(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Problem>().is_some_and(|problem| problem.id == NO_REGISTRY)
}

/// What keeps people from being told of alerts.
fn warn_of_silence(cx: &Context, stack: &Stack) -> Result<()> {
    let findings = alerts::findings(stack)?;
    let warnings = findings.iter().filter(|finding| finding.severity == Severity::Warning);
    warnings.for_each(|finding| cx.report.finding(finding));
    Ok(())
}

fn warn_of_offline(cx: &Context, stack: &Stack) {
    let offline: Vec<_> = stack
        .active()
        .into_iter()
        .filter(|service| stack.is_offline(service))
        .map(|service| service.name.as_str())
        .collect();
    if !offline.is_empty() {
        cx.report
            .warning(format!("on offline images, not the pinned ones: {}", offline.join(", ")));
    }
}
