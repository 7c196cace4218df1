//! Containers go, and what they have logged stays.

use anyhow::{Context as _, Result};

use super::rotate::folder;
use crate::context::Context;
use crate::docker::container::{self, Container};
use crate::plan::Plan;
use crate::process::Cmd;
use crate::stack::Stack;

/// Stops `containers`, archives what they have logged to the last line, and removes them; `why` goes
/// behind each step's name. What cannot be archived is a warning, and keeps none from being removed.
///
/// # Errors
/// When our own program cannot be found.
pub fn removal(cx: &Context, stack: &Stack, containers: &[&Container], why: &str) -> Result<Plan> {
    let mut plan = Plan::new();
    for (number, (what, cmd)) in container::removal(containers).into_iter().enumerate() {
        // After they have stopped, and before their logs go with them.
        if number == 1
            && let Some((what, cmd)) = archiving(cx, stack)?
        {
            plan.try_run(what, cmd);
        }
        plan.run(format!("{what}{why}"), cmd);
    }
    Ok(plan)
}

/// What archives the logs of `stack`, where they are archived at all.
fn archiving(cx: &Context, stack: &Stack) -> Result<Option<(String, Cmd)>> {
    if !folder(stack).is_dir() {
        return Ok(None);
    }
    let own = std::env::current_exe().context("looking for our own program")?;
    let mut cmd = Cmd::new(own).args(["rotate-logs", "--quiet", stack.name()]).dir(&cx.root);
    if let Some(project) = &cx.overrides.project {
        cmd = cmd.args(["--project", project]);
    }
    if let Some(data_dir) = &cx.overrides.data_dir {
        cmd = cmd.arg("--data-dir").arg(data_dir);
    }
    Ok(Some((format!("archive the last lines that {} has logged", stack.name()), cmd)))
}
