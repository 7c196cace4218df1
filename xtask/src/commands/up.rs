//! `cargo xtask up`.

use std::time::Duration;

use anyhow::Result;

use crate::alerts;
use crate::backup;
use crate::commands::urls;
use crate::context::Context;
use crate::docker::engine::Engine;
use crate::doctor;
use crate::images::unpulled::Unpulled;
use crate::lifecycle::Start;
use crate::offline::PROGRAMS;
use crate::report::advice::Xtask;
use crate::report::finding::{Severity, resumed_by};
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
            self.up(cx, stack).map_err(|error| resumed_by(error, done, again))?;
        }
        Ok(())
    }

    fn up(&self, cx: &Context, stack: Stack) -> Result<()> {
        let _lock = cx.lock(&stack, &format!("up {}", self.stack))?;
        cx.remove_leftovers(&stack.project())?;
        backup::settle(cx, &stack)?;
        let start = Start { offline: self.offline, limit: Duration::from_secs(self.timeout) };
        if let Err(error) = start.run(cx, &stack) {
            let unpulled = error.downcast::<Unpulled>()?;
            let question = "No registry can be reached. Build offline images instead (see tests/images/README.md)?";
            let can_help = unpulled.is_without_registry() && !self.offline;
            if !can_help || !cx.report.confirm(question) {
                return Err(unpulled.problem(&stack).into());
            }
            Start { offline: true, ..start }.run(cx, &stack)?;
        }
        if cx.dry_run {
            return Ok(());
        }
        let stack = cx.reload(&stack)?;
        warn_of_offline(cx, &stack);
        warn_of_silence(cx, &stack)?;
        urls::print(cx, std::slice::from_ref(&stack), urls::Form::default())
    }
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
