//! What a stack needs before it can start: `.env` with its secrets, data directories, files for its
//! services, and the network that it shares.
//! A plan of what is missing; nothing that is right already is touched.

pub mod absent;
pub mod accounts;
pub mod directories;
pub mod env_file;
pub mod env_rewrite;
pub mod generated;
pub mod inspect;
pub mod network;
pub mod origin;
pub mod recovered;

use anyhow::Result;

use self::recovered::Lost;

use crate::context::Context;
use crate::data::{Absence, Claim};
use crate::plan::Plan;
use crate::stack::Stack;

/// The plan that makes what everything else needs, the stack as it will be then, and the right to
/// its data.
///
/// # Errors
/// When `.env` has a value that may not stand, or is gone while containers have its values; the engine is needed and does not answer, or the data
/// is not ours to use (see [`Claim::of`]).
pub fn prepare(
    cx: &Context,
    mut stack: Stack,
    offline: bool,
    absence: Absence,
) -> Result<(Plan, Stack, Claim)> {
    let mut plan = env_file::plan(&mut stack, offline, Lost::by(cx.yes))?;
    let claim = Claim::of(&stack, absence)?;
    plan.append(directories::plan(&stack, &claim)?);
    Ok((plan, stack, claim))
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
    let (mut plan, stack, _) = prepare(cx, cx.reload(stack)?, false, Absence::Refused)?;
    plan.append(complete(&stack)?);
    Ok(plan)
}
