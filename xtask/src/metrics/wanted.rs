//! Whether a stack is meant to be up, for Prometheus: `up` and `down` say so, and nothing else does.
//! An alert about what nobody sees any more then stays until it is over or meant to be so. Likewise
//! whether work is meant to run by itself, of which `schedule install` and `remove` say so.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Page;
use crate::docker::location::Location;
use crate::host::files;
use crate::plan::Plan;
use crate::stack::Stack;

/// The step that puts on record whether `stack` is meant to be up; none where the record says so, or
/// where nobody could read it: the engine's files are on another machine.
///
/// # Errors
/// When it is unknown where the engine's files are.
pub fn plan(stack: &Stack, is_wanted: bool) -> Result<Plan> {
    let mut plan = Plan::new();
    if !Location::current()?.shares_paths() {
        return Ok(plan);
    }
    let path = stack.data_dir().join(format!("metrics/stack-{}.prom", stack.name()));
    let text = text(stack.name(), is_wanted);
    if files::read_optional(&path).ok().flatten().is_none_or(|before| before != text) {
        let word = if is_wanted { "up" } else { "down" };
        plan.write_openly(format!("record that it is meant to be {word}"), path, text, 0o644);
    }
    Ok(plan)
}

fn text(stack: &str, is_wanted: bool) -> String {
    let mut page = Page::default();
    let help = "Whether a stack is meant to be up: 1 after `up`, 0 after `down`.";
    page.gauge("stack_wanted", help, &[("stack", stack)], i64::from(is_wanted));
    page.text()
}

fn schedule_path(data_dir: &Path) -> PathBuf {
    data_dir.join("metrics/schedule-wanted.prom")
}

/// Whether work is on record as meant to run by itself; nothing where nobody said so.
///
/// # Errors
/// When the record cannot be read.
pub fn schedule(data_dir: &Path) -> Result<Option<bool>> {
    let text = files::read_optional(&schedule_path(data_dir))?;
    Ok(text.map(|text| text == schedule_text(true)))
}

/// The step that puts on record whether work is meant to run by itself; none where the record says so.
///
/// # Errors
/// When the record cannot be read.
pub fn schedule_plan(data_dir: &Path, is_wanted: bool) -> Result<Plan> {
    let mut plan = Plan::new();
    if schedule(data_dir)? != Some(is_wanted) {
        let word = if is_wanted { "runs by itself" } else { "does not run by itself" };
        let what = format!("record that routine work {word}");
        plan.write(what, schedule_path(data_dir), schedule_text(is_wanted), 0o644);
    }
    Ok(plan)
}

fn schedule_text(is_wanted: bool) -> String {
    let mut page = Page::default();
    let help =
        "Whether routine work is meant to run by itself: 1 after `schedule install`, else 0.";
    page.gauge("schedule_wanted", help, &[], i64::from(is_wanted));
    page.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_the_schedule_is_read_again() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("metrics")).unwrap();
        assert_eq!(schedule(data.path()).unwrap(), None);
        for is_wanted in [true, false] {
            let plan = schedule_plan(data.path(), is_wanted).unwrap();
            plan.carry_out(&crate::report::Report::new(crate::report::Verbosity::Quiet, false))
                .unwrap();
            assert_eq!(schedule(data.path()).unwrap(), Some(is_wanted));
            assert!(schedule_plan(data.path(), is_wanted).unwrap().is_empty());
        }
    }

    #[test]
    fn the_rules_know_the_metric() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let rules = root.join("infrastructure/docker/monitoring/prometheus/rules/databases.yml");
        let rules = std::fs::read_to_string(rules).unwrap();
        for (is_wanted, value) in [(true, 1), (false, 0)] {
            let said = text("development", is_wanted);
            let series = "case_interview_stack_wanted{stack=\"development\"}";
            assert!(said.ends_with(&format!("{series} {value}\n")), "{said}");
            assert!(rules.contains(&format!("{series} == 0")));
        }
    }
}
