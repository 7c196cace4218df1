//! Lines of `.env` that Composes may read differently, written anew with the value that those on
//! this machine read.

use std::collections::BTreeSet;

use anyhow::Result;

use super::env_file::MODE;
use crate::docker::compose::Compose;
use crate::plan::Plan;
use crate::report::units::count;
use crate::stack::Stack;
use crate::stack::dotenv;

/// The step that rewrites what every Compose on this machine reads alike. What they read
/// differently, or refuse, is left for a person to decide.
///
/// # Errors
/// When the user interrupts.
pub fn plan(stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    let Some(text) = stack.env.text() else { return Ok(plan) };
    let unclear = stack.env.assignments().iter().filter(|assignment| assignment.value.is_err());
    let names: BTreeSet<_> =
        unclear.map(|assignment| assignment.key.as_str()).filter(|name| !name.is_empty()).collect();
    let names: Vec<_> = names.into_iter().collect();
    if names.is_empty() {
        return Ok(plan);
    }
    let readings: Vec<_> = Compose::discover()?
        .iter()
        .filter_map(|compose| compose.variables(stack.env.path(), &names).ok())
        .collect();
    let (mut text, mut rewritten) = (text.to_owned(), 0);
    for name in names {
        let values: BTreeSet<_> = readings.iter().map(|reading| reading.get(name)).collect();
        // An empty value would count as missing, and be generated anew.
        if let (Some(Some(value)), 1) = (values.first(), values.len())
            && !value.is_empty()
            && let Some(changed) = dotenv::set(&text, name, value)
        {
            text = changed;
            rewritten += 1;
        }
    }
    if rewritten > 0 {
        let what = format!("rewrite {} of {}", count(rewritten, "line"), stack.env_file());
        plan.edit(what, stack.env.path().to_owned(), text.as_bytes(), MODE);
    }
    Ok(plan)
}
