//! A service is as healthy after a backup as before: a container that was paused is called
//! unhealthy by the engine until its next health check.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::context::Context;
use crate::docker::container::{self, Container};
use crate::process::check_interrupted;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::units::duration;
use crate::stack::Stack;

/// Between two looks.
const POLL: Duration = Duration::from_millis(100);
/// How many health checks may fail on a busy machine.
const ROUNDS: u32 = 3;

/// Waits until the engine calls each of `before` healthy again that was healthy then.
///
/// # Errors
/// `backup.unhealthy` when one is not after three health checks; when the engine does not answer.
pub fn as_before(cx: &Context, stack: &Stack, before: &[&Container]) -> Result<()> {
    for container in before.iter().filter(|one| one.is_running() && one.health() == Some("healthy"))
    {
        wait(cx, stack, container)?;
    }
    Ok(())
}

fn wait(cx: &Context, stack: &Stack, before: &Container) -> Result<()> {
    let name = before.service().unwrap_or(before.name());
    let limit = before.health_round() * ROUNDS;
    let started = Instant::now();
    let mut is_said = false;
    while let Some(container) = container::get(&before.id)? {
        if container.is_called_healthy() {
            break;
        }
        check_interrupted()?;
        let waited = started.elapsed();
        if waited > limit || !container.is_running() {
            let found = format!(
                "{name} was healthy before the backup and is not {} after it",
                duration(waited)
            );
            return Err(Problem::failed("backup.unhealthy", found)
                .mend(Xtask::Logs(stack.on(), name.to_owned()))
                .into());
        }
        if !is_said {
            is_said = true;
            let limit = duration(limit);
            cx.report
                .progress(format!("waiting up to {limit} for the next health check of {name}"));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
