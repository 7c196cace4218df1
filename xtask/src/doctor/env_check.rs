//! `env check`: what can be said of a stack's `.env` without an engine.

use anyhow::Result;

use super::facts::Facts;
use super::{env_file, exposure, ports, secrets, values};
use crate::context::Context;
use crate::report::finding::Finding;
use crate::stack::Stack;

/// Every check of the file.
pub fn run(cx: &Context, stack: &Stack) -> Vec<Finding> {
    let facts = Facts::new(cx, std::slice::from_ref(stack));
    let checks = [
        env_file::absent,
        env_file::incomplete,
        secrets::weak_secrets,
        env_file::ambiguous,
        env_file::duplicate,
        env_file::unknown,
        env_file::mode,
        values::empty,
        values::allowed,
        env_file::memory_pairs,
        ports::invalid,
        ports::twice_in,
        exposure::addresses,
        exposure::diverting,
        env_file::overridden,
    ];
    let run = |check: fn(&Facts<'_>, &Stack) -> Result<Vec<Finding>>| {
        check(&facts, stack)
            .unwrap_or_else(|error| vec![Finding::of_error("env.unreadable", &error)])
    };
    checks.into_iter().flat_map(run).collect()
}
