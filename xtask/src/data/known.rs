//! What the repository remembers of data: which lay where. Data that it remembers and that is not
//! there is no first start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::Absence;
use super::record;
use crate::docker::endpoint::Endpoint;
use crate::host::files::read_optional;
use crate::host::identity::Identity;
use crate::plan::Plan;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::stack::Stack;

/// Data that servers have run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) identity: Identity,
    /// `DATA_DIR` at that time.
    pub(super) path: PathBuf,
}

/// By the machine that the data is on: a project may run on several engines.
type Record = BTreeMap<String, Known>;

/// The machine that data is on now, for an engine here and those elsewhere.
fn machine() -> String {
    let endpoint = Endpoint::current();
    if endpoint.is_remote() { endpoint.to_string() } else { "here".to_owned() }
}

fn path(stack: &Stack) -> PathBuf {
    stack.state_folder().join(format!("{}-data.json", stack.project()))
}

fn recorded(stack: &Stack) -> Result<Record> {
    let path = path(stack);
    match read_optional(&path)? {
        // The next start writes it anew.
        Some(text) => Ok(serde_json::from_str(&text).unwrap_or_default()),
        None => Ok(Record::new()),
    }
}

/// Whether servers of the stack have run on data anywhere; so too where the record cannot be read.
pub fn is_remembered(stack: &Stack) -> bool {
    recorded(stack).map_or(true, |record| !record.is_empty())
}

/// The step that remembers `known` for the machine that the data is on, or forgets it.
pub(super) fn write(stack: &Stack, known: Option<Known>) -> Result<Plan> {
    let mut plan = Plan::new();
    let before = recorded(stack)?;
    let mut record = before.clone();
    let what = match known {
        Some(known) => {
            record.insert(machine(), known);
            "remember which data lies there"
        }
        None => {
            record.remove(&machine());
            "forget which data lies there"
        }
    };
    if record != before {
        let text = serde_json::to_string_pretty(&record).context("writing what data is known")?;
        plan.write(what, path(stack), text, 0o600);
    }
    Ok(plan)
}

/// The identity of the data that is there: the one it has, or a new one at a first start.
pub(super) fn identity(
    stack: &Stack,
    found: Option<&Identity>,
    absence: Absence,
) -> Result<Identity> {
    let known = recorded(stack)?.remove(&machine());
    match (found, known) {
        (Some(found), None) => Ok(found.clone()),
        (Some(found), Some(known)) if known.identity == *found => Ok(found.clone()),
        (_, Some(known)) if absence == Absence::Refused => Err(gone(stack, &known).into()),
        (Some(found), Some(_)) => Ok(found.clone()),
        (None, _) => Identity::random(),
    }
}

/// Fails when data that is known is not there. Asks no engine; of another machine nothing is known
/// without one.
///
/// # Errors
/// `data.gone`; when a record cannot be read.
pub fn refuse_gone(stack: &Stack) -> Result<()> {
    let Some(known) = recorded(stack)?.remove(&machine()) else { return Ok(()) };
    let Some(record) = record::load_here(stack)? else { return Ok(()) };
    if record.identity.is_some_and(|found| found == known.identity) {
        return Ok(());
    }
    Err(gone(stack, &known).into())
}

fn gone(stack: &Stack, known: &Known) -> Problem {
    let (was, is) = (known.path.display(), stack.data_dir());
    let found = if known.path == is {
        format!(
            "the data of {} is not in {was} any more: perhaps its disk is not mounted",
            stack.project()
        )
    } else {
        format!("the data of {} is in {was}, and not in {}", stack.project(), is.display())
    };
    let back = if known.path == is {
        Advice::from(format!("mount it, and see: findmnt --target {was}"))
    } else {
        Advice::from(format!("put DATA_DIR={was} back into {}", stack.env_file()))
            .or(format!("move all of it, `state` among it, to {}", is.display()))
    };
    Problem::prerequisite("data.gone", found).mend(
        back.or(format!("give it up, and use what lies there now: {}", Xtask::UpFresh(stack.on()))),
    )
}
