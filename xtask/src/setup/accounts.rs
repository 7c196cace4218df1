//! Accounts that a running server gives to others, such as an exporter's: made, or given the
//! password of `.env`.

use anyhow::{Context as _, Result};

use crate::docker::container::Container;
use crate::docker::docker;
use crate::plan::Plan;
use crate::stack::Stack;

/// The steps for the servers among `containers` that run; none for an account that is in use.
///
/// # Errors
/// When a password is missing.
pub fn plan(stack: &Stack, containers: &[Container]) -> Result<Plan> {
    let mut plan = Plan::new();
    for service in stack.active() {
        let running = containers
            .iter()
            .find(|container| container.is_running() && container.service() == Some(&service.name));
        let Some(container) = running else { continue };
        for account in &service.accounts {
            let name = &account.secret;
            if is_in_use(stack, containers, name) {
                continue;
            }
            let password = stack.env.get(name).with_context(|| format!("{name} is not set"))?;
            let exec = ["exec", "--interactive", &container.id, "sh", "-euc", &account.script];
            plan.run(
                format!("give {} the account of {name}", service.name),
                docker().args(exec).stdin(password),
            );
        }
    }
    Ok(plan)
}

/// Whether the service that logs in with `secret` is healthy.
fn is_in_use(stack: &Stack, containers: &[Container], secret: &str) -> bool {
    let user = stack
        .definition
        .services
        .iter()
        .find(|service| service.secrets.iter().any(|own| own == secret));
    let container = user.and_then(|user| {
        containers.iter().find(|one| one.is_running() && one.service() == Some(user.name.as_str()))
    });
    let question = container.and_then(Container::health_question);
    question.is_some_and(|question| question.output().is_ok_and(|output| output.success()))
}
