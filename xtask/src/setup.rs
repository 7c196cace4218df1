//! What a stack needs before it can start: `.env` with its secrets, data directories, files for its
//! services, and the network that it shares.
//! A plan of what is missing; nothing that is right already is touched.

pub mod accounts;
pub mod directories;
pub mod env_file;
pub mod env_rewrite;
pub mod generated;
pub mod inspect;
pub mod network;
pub mod origin;

use anyhow::Result;

use crate::context::Context;
use crate::plan::Plan;
use crate::stack::Stack;

/// The plan that makes what everything else needs, and the stack as it will be then.
///
/// # Errors
/// When `.env` has a value that may not stand, or the engine is needed and does not answer.
pub fn prepare(mut stack: Stack, offline: bool) -> Result<(Plan, Stack)> {
    let mut plan = env_file::plan(&mut stack, offline)?;
    plan.append(directories::plan(&stack)?);
    Ok((plan, stack))
}

/// The plan that makes the rest: what services read, and the network.
///
/// # Errors
/// When a password is missing, or the engine does not answer.
pub fn complete(stack: &Stack) -> Result<Plan> {
    let mut plan = generated::plan(stack)?;
    plan.append(network::plan(stack)?);
    Ok(plan)
}

/// The plan that makes `stack` ready to start.
///
/// # Errors
/// As [`prepare`].
pub fn plan(cx: &Context, stack: &Stack) -> Result<Plan> {
    let (mut plan, stack) = prepare(cx.reload(stack)?, false)?;
    plan.append(complete(&stack)?);
    Ok(plan)
}
