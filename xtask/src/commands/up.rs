//! `cargo xtask up`.

use std::time::Duration;

use anyhow::Result;

use crate::commands::urls;
use crate::context::Context;
use crate::docker::compose::Compose;
use crate::docker::container::{self, Container};
use crate::docker::engine::Engine;
use crate::doctor::{self, Intent};
use crate::images::{self, NoRegistry};
use crate::plan::Plan;
use crate::ready::wait::until_ready;
use crate::setup::{origin, prepare};
use crate::stack::Stack;

/// Set up if needed, start, wait until every service answers, print the endpoints
///
/// A second `up` recreates nothing that runs as configured.
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
    /// Longest wait for the services to answer, in seconds
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
            doctor::fix::mend_machine(cx, self.offline)?;
        }
        Engine::ask()?;
        for stack in stacks {
            self.up(cx, stack)?;
        }
        Ok(())
    }

    fn up(&self, cx: &Context, stack: Stack) -> Result<()> {
        let _lock = cx.lock(&stack, &format!("up {}", self.stack))?;
        cx.remove_leftovers(&stack.project())?;
        match self.start(cx, &stack, self.offline) {
            Err(error) => {
                let no_registry = error.downcast::<NoRegistry>()?;
                let question = "No registry can be reached. Build offline images instead (see tests/images/README.md)?";
                if self.offline || !cx.report.confirm(question) {
                    return Err(no_registry.problem(&self.stack).into());
                }
                self.start(cx, &stack, true)
            }
            outcome => outcome,
        }
    }

    fn start(&self, cx: &Context, stack: &Stack, offline: bool) -> Result<()> {
        let (setup, stack) = prepare(cx.reload(stack)?, offline)?;
        doctor::refuse_unfit(cx, &stack, Intent::Up)?;
        let containers = cx.containers(&stack)?;
        let compose = Compose::to_use(&containers, &cx.manifest.requirements.compose)?;
        images::provide(cx, &stack)?;
        let mut plan = setup;
        plan.append(origin::plan(&stack, &containers)?);
        if cx.dry_run {
            // Without .env, Compose cannot say what is outdated.
            if stack.env.path().exists() {
                plan.append(removal(&compose.outdated(&stack, &containers)?));
            }
            plan.run(format!("start {} with {compose}", stack.name()), compose.up(&stack));
            return plan.print(&cx.report);
        }
        plan.carry_out(&cx.report)?;
        let mut plan = removal(&compose.outdated(&stack, &containers)?);
        plan.run(format!("start {} with {compose}", stack.name()), compose.up(&stack));
        plan.carry_out(&cx.report)?;
        let services: Vec<_> = stack.definition.services.iter().collect();
        until_ready(cx, &stack, &services, Duration::from_secs(self.timeout))?;
        origin::answered(&stack)?.carry_out(&cx.report)?;
        warn_of_offline(cx, &stack);
        urls::print(cx, std::slice::from_ref(&stack), urls::Form::default())
    }
}

fn removal(outdated: &[&Container]) -> Plan {
    let mut plan = Plan::new();
    for (what, cmd) in container::removal(outdated) {
        plan.run(format!("{what} (configured otherwise)"), cmd);
    }
    plan
}

fn warn_of_offline(cx: &Context, stack: &Stack) {
    let offline: Vec<_> = stack
        .definition
        .services
        .iter()
        .filter(|service| stack.is_offline(service))
        .map(|service| service.name.as_str())
        .collect();
    if !offline.is_empty() {
        cx.report
            .warning(format!("on offline images, not the pinned ones: {}", offline.join(", ")));
    }
}
