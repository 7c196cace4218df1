//! Starting a stack: what is missing is made, what runs otherwise than configured is replaced, and
//! every service is asked whether it answers.

use std::time::Duration;

use anyhow::Result;

use crate::configuration;
use crate::context::Context;
use crate::data::Absence;
use crate::docker::compose::Compose;
use crate::docker::container::Container;
use crate::doctor::{self, Intent};
use crate::images;
use crate::logs::removal::removal;
use crate::metrics::wanted;
use crate::plan::Plan;
use crate::ready::paused;
use crate::ready::wait::until_ready;
use crate::report::advice::Xtask;
use crate::setup::{absent, accounts, complete, network, origin, prepare};
use crate::stack::Stack;

/// How a stack is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// On offline images, which is then written into `.env`.
    pub offline: bool,
    /// What is done where data that was there is not.
    pub absence: Absence,
    /// Longest wait for the services to answer.
    pub limit: Duration,
    /// The command that starts it, to be typed again after a failure.
    pub again: Xtask,
}

impl Start {
    /// Prepares, starts and waits; prints what it would do under `--dry-run`. Only for the holder of
    /// the stack's lock.
    ///
    /// # Errors
    /// When an image cannot be pulled, a prerequisite is missing, a step fails, or a service does
    /// not answer in time.
    pub fn run(&self, cx: &Context, stack: &Stack) -> Result<()> {
        let (setup, stack, claim) = prepare(cx, cx.reload(stack)?, self.offline, self.absence)?;
        if self.offline {
            warn_of_pinned(cx, &stack);
        }
        doctor::refuse_unfit(cx, &stack, Intent::Up(self.absence))?;
        let containers = cx.containers(&stack)?;
        if let Some(problem) = containers.iter().find_map(paused) {
            return Err(problem.into());
        }
        let compose = Compose::to_use(&containers, &cx.manifest.requirements.compose)?;
        images::provide(cx, &stack, &self.again)?;
        let mut plan = setup;
        let anew = match self.absence {
            Absence::Accepted => absent::services(&stack),
            Absence::Refused => Vec::new(),
        };
        plan.append(origin::plan(&stack, &containers, &anew)?);
        plan.append(wanted::plan(&stack, true)?);
        if cx.dry_run {
            // Without .env, Compose cannot say what is outdated.
            let unwanted = match stack.env.path().exists() {
                true => unwanted(&stack, &compose, &containers)?,
                false => Vec::new(),
            };
            plan.append(start_plan(&stack, &compose, &unwanted)?);
            match configuration::plan(&stack, &containers) {
                Ok(steps) => plan.append(steps),
                // Such as after a change of the password that it is asked with.
                Err(error) => cx
                    .report
                    .warning(format!("what services would load anew is unknown: {error:#}")),
            }
            return plan.print(&cx.report);
        }
        let claim = claim.completed(&stack, &mut plan)?;
        plan.carry_out(&cx.report)?;
        configuration::refuse_broken(cx, &stack, &containers)?;
        let network = network::lock(cx, &stack, "up")?;
        let unwanted = unwanted(&stack, &compose, &containers)?;
        start_plan(&stack, &compose, &unwanted)?.carry_out(&cx.report)?;
        drop(network);
        configuration::load(cx, &stack)?;
        self.wait(cx, &stack)?;
        let mut records = origin::answered(&stack)?;
        records.append(claim.remember(&stack)?);
        records.carry_out(&cx.report)
    }

    /// What can be asked from outside comes first: the rest may need accounts in it.
    fn wait(&self, cx: &Context, stack: &Stack) -> Result<()> {
        let (outside, inside): (Vec<_>, Vec<_>) =
            stack.active().into_iter().partition(|service| !service.endpoints.is_empty());
        let (accounts, rest): (Vec<_>, Vec<_>) =
            outside.into_iter().partition(|service| !service.accounts.is_empty());
        until_ready(cx, stack, &accounts, self.limit)?;
        accounts::plan(stack, &cx.containers(stack)?)?.carry_out(&cx.report)?;
        until_ready(cx, stack, &[rest, inside].concat(), self.limit)
    }
}

/// Which services `--offline` does not change.
fn warn_of_pinned(cx: &Context, stack: &Stack) {
    let active = stack.active().into_iter();
    let pinned: Vec<_> = active
        .filter(|service| service.offline_image.is_none())
        .map(|service| service.name.as_str())
        .collect();
    if !pinned.is_empty() {
        let names = pinned.join(", ");
        cx.report.warning(format!(
            "stacks.toml names no offline image for {names}; the pinned one is used"
        ));
    }
}

fn start_plan(stack: &Stack, compose: &Compose, unwanted: &[&Container]) -> Result<Plan> {
    let mut plan = complete(stack)?;
    plan.append(removal(stack, unwanted, " (configured otherwise)"));
    let on_top = stack.compose.override_path().and_then(|path| path.file_name());
    let on_top = on_top.map(|name| format!(" and {}", name.to_string_lossy())).unwrap_or_default();
    plan.run(
        format!("start {} with {compose}{on_top}", stack.name()),
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
