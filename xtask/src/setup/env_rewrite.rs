//! Lines of `.env` that Composes may read differently, written anew with the value that those on
//! this machine read.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::env_file::MODE;
use crate::docker::compose::Compose;
use crate::plan::Plan;
use crate::process::check_interrupted;
use crate::report::finding::Problem;
use crate::report::units::count;
use crate::stack::Stack;
use crate::stack::dotenv::{self, Assignment};

/// The step that rewrites what every Compose on this machine reads alike. What they read
/// differently, and a secret with a dollar, is left for a person to decide.
///
/// # Errors
/// `env.refused` where a Compose refuses the file, so that what it would read is unknown; when the
/// user interrupts.
pub fn plan(stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    let Some(text) = stack.env.text() else { return Ok(plan) };
    let counts =
        |one: &&Assignment| stack.env.assignment(&one.key).is_some_and(|last| last == *one);
    let unclear = stack.env.assignments().iter().filter(|one| stack.is_rewritable(one));
    let names: BTreeSet<_> = unclear.filter(counts).map(|one| one.key.as_str()).collect();
    if names.is_empty() {
        return Ok(plan);
    }
    let readings = readings(stack, &names.iter().copied().collect::<Vec<_>>())?;
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

/// What each Compose on this machine reads for `names`.
fn readings(stack: &Stack, names: &[&str]) -> Result<Vec<BTreeMap<String, String>>> {
    let mut readings = Vec::new();
    for compose in Compose::discover()? {
        let Ok(reading) = compose.variables(stack.env.path(), names) else {
            check_interrupted()?;
            // Its own words quote the file, which holds passwords.
            let found = format!("{compose} refuses {}, so no line was rewritten", stack.env_file());
            return Err(Problem::prerequisite("env.refused", found)
                .mend("write the lines below anew by hand")
                .into());
        };
        readings.push(reading);
    }
    Ok(readings)
}
