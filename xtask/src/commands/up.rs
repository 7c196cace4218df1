//! `cargo xtask up`.

use std::time::Duration;

use anyhow::Result;

use crate::alerts;
use crate::backup;
use crate::commands::urls;
use crate::configuration;
use crate::context::Context;
use crate::docker::compose::Compose;
use crate::docker::container::Container;
use crate::docker::engine::Engine;
use crate::doctor::{self, Intent};
use crate::images::{self, NoRegistry};
use crate::logs::removal::removal;
use crate::offline::PROGRAMS;
use crate::plan::Plan;
use crate::ready::wait::until_ready;
use crate::report::advice::Xtask;
use crate::report::finding::{Severity, resumed_by};
use crate::setup::{accounts, complete, network, origin, prepare};
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
        if let Err(error) = self.start(cx, &stack, self.offline) {
            let no_registry = error.downcast::<NoRegistry>()?;
            let question = "No registry can be reached. Build offline images instead (see tests/images/README.md)?";
            if self.offline || !cx.report.confirm(question) {
                return Err(no_registry.problem(&stack).into());
            }
            self.start(cx, &stack, true)?;
        }
        if cx.dry_run {
            return Ok(());
        }
        let stack = cx.reload(&stack)?;
        warn_of_offline(cx, &stack);
        warn_of_silence(cx, &stack)?;
        urls::print(cx, std::slice::from_ref(&stack), urls::Form::default())
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
            let unwanted = match stack.env.path().exists() {
                true => unwanted(&stack, &compose, &containers)?,
                false => Vec::new(),
            };
            plan.append(start_plan(cx, &stack, &compose, &unwanted)?);
            match configuration::plan(&stack, &containers) {
                Ok(steps) => plan.append(steps),
                // Such as after a change of the password that it is asked with.
                Err(error) => cx
                    .report
                    .warning(format!("what services would load anew is unknown: {error:#}")),
            }
            return plan.print(&cx.report);
        }
        plan.carry_out(&cx.report)?;
        configuration::refuse_broken(cx, &stack, &containers)?;
        let network = network::lock(cx, &stack, "up")?;
        let unwanted = unwanted(&stack, &compose, &containers)?;
        start_plan(cx, &stack, &compose, &unwanted)?.carry_out(&cx.report)?;
        drop(network);
        configuration::load(cx, &stack)?;
        self.wait(cx, &stack)?;
        origin::answered(&stack)?.carry_out(&cx.report)
    }

    /// What can be asked from outside comes first: the rest may need accounts in it.
    fn wait(&self, cx: &Context, stack: &Stack) -> Result<()> {
        let limit = Duration::from_secs(self.timeout);
        let (outside, inside): (Vec<_>, Vec<_>) =
            stack.active().into_iter().partition(|service| !service.endpoints.is_empty());
        let (accounts, rest): (Vec<_>, Vec<_>) =
            outside.into_iter().partition(|service| !service.accounts.is_empty());
        until_ready(cx, stack, &accounts, limit)?;
        accounts::plan(stack, &cx.containers(stack)?)?.carry_out(&cx.report)?;
        until_ready(cx, stack, &[rest, inside].concat(), limit)
    }
}

/// Starts `stack` and waits until it answers. Only for the holder of its lock.
///
/// # Errors
/// As `up`.
pub fn bring_up(cx: &Context, stack: &Stack, limit: Duration) -> Result<()> {
    let args = Args {
        stack: stack.short().to_owned(),
        offline: false,
        fix: false,
        timeout: limit.as_secs(),
    };
    args.start(cx, stack, false)
}

fn start_plan(
    cx: &Context,
    stack: &Stack,
    compose: &Compose,
    unwanted: &[&Container],
) -> Result<Plan> {
    let mut plan = complete(stack)?;
    plan.append(removal(cx, stack, unwanted, " (configured otherwise)")?);
    plan.run(
        format!("start {} with {compose}", stack.name()),
        compose.up(&stack.compose_project()),
    );
    Ok(plan)
}

/// Containers that Compose would make over, which takes their logs along or fails, or leave as they
/// are.
fn unwanted<'a>(
    stack: &Stack,
    compose: &Compose,
    containers: &'a [Container],
) -> Result<Vec<&'a Container>> {
    let mut unwanted = stale(stack, containers);
    unwanted.extend(compose.outdated(&stack.compose_project(), &stack.images(), containers)?);
    unwanted.sort_by_key(|container| container.name());
    unwanted.dedup_by_key(|container| container.name());
    Ok(unwanted)
}

/// Those that newer Composes would leave as they are: of a profile that is no longer wanted, or
/// made by a run that was cut off, perhaps before the container was on each of its networks.
fn stale<'a>(stack: &Stack, containers: &'a [Container]) -> Vec<&'a Container> {
    let active = stack.active();
    let is_stale = |container: &&Container| {
        let service = container.service().and_then(|name| stack.service(name).ok());
        container.state.status == "created"
            || service.is_some_and(|service| active.iter().all(|one| one.name != service.name))
    };
    containers.iter().filter(is_stale).collect()
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
