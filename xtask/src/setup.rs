//! What a stack needs before it can start: `.env` with its secrets, and the data directories.
//! A plan of what is missing; nothing that is right already is touched.

pub mod directories;
pub mod env_file;
pub mod origin;

use anyhow::Result;

use crate::context::Context;
use crate::plan::Plan;
use crate::stack::Stack;

/// The plan that makes `stack` ready to start, and the stack as it will be then.
///
/// # Errors
/// When `.env` has a value that may not stand, or the engine is needed and does not answer.
pub fn prepare(mut stack: Stack, offline: bool) -> Result<(Plan, Stack)> {
    let mut plan = env_file::plan(&mut stack, offline)?;
    plan.append(directories::plan(&stack)?);
    Ok((plan, stack))
}

/// The plan that makes `stack` ready to start.
///
/// # Errors
/// As [`prepare`].
pub fn plan(cx: &Context, stack: &Stack) -> Result<Plan> {
    Ok(prepare(cx.reload(stack)?, false)?.0)
}
