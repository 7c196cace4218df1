//! Taking back what a killed backup has left changed in a running server.

use anyhow::{Context as _, Result};

use super::source::prometheus::snapshot;
use super::undo_log::{Step, forget, path};
use crate::context::Context;
use crate::docker::docker;
use crate::host::files::read_optional;
use crate::plan::Plan;
use crate::stack::Stack;

/// Takes back what a killed backup of `stack` has left, and says so. Only for the holder of the
/// project's lock.
///
/// # Errors
/// When that cannot be done.
pub(super) fn settle(cx: &Context, stack: &Stack) -> Result<()> {
    let path = path(stack);
    let Some(text) = read_optional(&path)? else { return Ok(()) };
    let step =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let mut plan = Plan::new();
    match &step {
        Step::Paused { container } => {
            let containers = cx.containers(stack)?;
            let its = containers.iter().find(|its| its.id.starts_with(&**container));
            if its.is_some_and(|its| its.state.status == "paused") {
                let resume = docker().args(["unpause", container]);
                plan.run("resume what an interrupted backup has left standing still", resume);
            }
        }
        Step::Snapshot { service, asked, before, name } => {
            let left = snapshot::left(stack, service, *asked, before, name.as_ref())?;
            if let Some((name, removal)) = left {
                let what =
                    format!("remove the snapshot {name}, which an interrupted backup has left");
                plan.run(what, removal);
            }
        }
    }
    if !plan.is_empty() {
        cx.execute(plan)?;
    }
    if cx.dry_run { Ok(()) } else { forget(stack) }
}
