//! `cargo xtask restart`.

use std::time::Duration;

use anyhow::Result;

use crate::backup;
use crate::configuration;
use crate::context::Context;
use crate::data::{Absence, Claim};
use crate::docker::container;
use crate::plan::Plan;
use crate::ready::wait::until_ready;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::setup::absent;

/// Restart a stack or some of its services, and wait until they answer
///
/// Does not apply a changed configuration; `up` does.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack
    stack: String,
    /// The services; all if left out
    services: Vec<String>,
    /// Longest wait for the services to answer, in seconds
    #[arg(long, default_value_t = 180, value_name = "SECONDS")]
    timeout: u64,
}

impl Args {
    /// Restarts.
    ///
    /// # Errors
    /// When there is nothing to restart, or a service does not answer afterwards.
    pub fn run(self, cx: &Context) -> Result<()> {
        let (word, names) = cx.take_service(&self.stack, &self.services);
        for stack in cx.stacks(Some(&word))? {
            let mut services = Vec::new();
            for service in &names {
                services.push(stack.service(service)?);
            }
            if services.is_empty() {
                services.extend(stack.active());
            }
            let _lock = cx.lock(&stack, &format!("restart {word}"))?;
            cx.remove_leftovers(&stack.project())?;
            backup::settle(cx, &stack)?;
            let containers = cx.containers(&stack)?;
            let meant = |name: Option<&str>| {
                services.iter().any(|service| Some(service.name.as_str()) == name)
            };
            let chosen: Vec<_> =
                containers.iter().filter(|container| meant(container.service())).collect();
            if chosen.len() < services.len() {
                return Err(Problem::failed(
                    "stack.not-up",
                    format!("not every service of {} has a container", stack.name()),
                )
                .mend(Xtask::Up(stack.on()))
                .into());
            }
            // Each start mounts anew what lies there then.
            Claim::of(&stack, Absence::Refused)?;
            absent::refuse(&stack)?;
            configuration::refuse_broken(cx, &stack, &containers)?;
            let mut plan = Plan::new();
            let names: Vec<_> = chosen.iter().map(|container| container.name()).collect();
            plan.run(format!("restart {}", names.join(", ")), container::restart(&chosen));
            cx.execute(plan)?;
            if cx.dry_run {
                continue;
            }
            until_ready(cx, &stack, &services, Duration::from_secs(self.timeout))?;
        }
        Ok(())
    }
}
