//! Taking back what a killed backup has left changed in a running server.

use anyhow::Result;

use super::{server, undo_log};
use crate::context::Context;
use crate::stack::Stack;

/// Takes back what a killed backup of `stack` has left, and says so. Only for the holder of the
/// project's lock.
///
/// # Errors
/// When that cannot be done.
pub(super) fn settle(cx: &Context, stack: &Stack) -> Result<()> {
    let Some(step) = undo_log::recorded(stack)? else { return Ok(()) };
    let plan = server::take_back(stack, &step)?;
    if !plan.is_empty() {
        cx.execute(plan)?;
    }
    if cx.dry_run { Ok(()) } else { undo_log::forget(stack) }
}
