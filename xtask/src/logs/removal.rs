//! Containers go, and what they have logged stays.

use super::rotate::{archive, due, fail, folder};
use crate::docker::container::{self, Container};
use crate::plan::Plan;
use crate::report::advice::Xtask;
use crate::stack::Stack;

/// Stops `containers`, archives what they have logged to the last line, and removes them; `why` goes
/// behind each step's name. What cannot be archived is a warning, and keeps none from being removed.
pub fn removal(stack: &Stack, containers: &[&Container], why: &str) -> Plan {
    let mut plan = Plan::new();
    for (number, (what, cmd)) in container::removal(containers).into_iter().enumerate() {
        // After they have stopped, and before their logs go with them.
        if number == 1 && folder(stack).is_dir() {
            last_lines(stack, &mut plan);
        }
        plan.run(format!("{what}{why}"), cmd);
    }
    plan
}

fn last_lines(stack: &Stack, plan: &mut Plan) {
    let what = format!("archive the last lines that {} has logged", stack.name());
    let like = Xtask::RotateLogsOf(stack.on()).to_string();
    let stack = stack.clone();
    plan.try_call(what, like, move |report| {
        let tasks = due(&stack, container::of_project(&stack.project())?)?;
        let (_, errors) = archive(&stack, &tasks, report)?;
        fail(errors, report)
    });
}
