//! The network that stacks share: made by the first that needs it, removed by the last.

use anyhow::Result;

use crate::context::Context;
use crate::docker::{container, network};
use crate::host::lock::{self, IfHeld, Lock};
use crate::plan::Plan;
use crate::stack::Stack;

/// Keeps `down` of one stack from removing the network between its making and its use by another.
///
/// # Errors
/// When the lock's folder is not writable, or the user interrupts the wait.
pub fn lock(cx: &Context, stack: &Stack, what: &str) -> Result<Option<Lock>> {
    if cx.dry_run {
        return Ok(None);
    }
    let name = format!("network-{}", stack.network()?);
    let path = lock::path(&cx.state_folder(), &name);
    let lock = Lock::take(&path, what, IfHeld::Wait, |holder| {
        cx.report.progress(format!("waiting for {holder}, which uses the same network"));
    });
    lock.map(Some)
}

/// The step that makes the network, where it is missing.
///
/// # Errors
/// When the engine does not answer.
pub fn plan(stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    let name = stack.network()?;
    if !network::exists(&name)? {
        plan.run(format!("make the network {name}"), network::create(&name, &stack.project()));
    }
    Ok(plan)
}

/// The step that removes the network, unless a container beside those of `stack` is on it, running
/// or not: it could not be started again.
///
/// # Errors
/// When the engine does not answer.
pub fn removal(stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    let (name, project) = (stack.network()?, stack.project());
    let is_other = |container: &container::Container| container.project() != Some(&project);
    let is_used =
        container::all()?.iter().any(|container| is_other(container) && container.is_on(&name));
    if !is_used && network::exists(&name)? {
        plan.run(format!("remove the network {name}"), network::remove(&name));
    }
    Ok(plan)
}
