//! Which kind of image made a service's data. A stand-in never starts on the data of the real
//! server, nor the reverse.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::host::files::read_optional;
use crate::plan::Plan;
use crate::report::finding::Problem;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Service to image reference, as first started on this data directory.
type Record = BTreeMap<String, String>;

fn path(stack: &Stack) -> PathBuf {
    stack.data_dir().join("state").join(format!("{}-images.json", stack.name()))
}

fn recorded(stack: &Stack) -> Result<Record> {
    let path = path(stack);
    match read_optional(&path)? {
        Some(text) => {
            serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
        }
        None => Ok(Record::new()),
    }
}

/// The image that made the data of `service`, when its kind is not that of today's image.
///
/// # Errors
/// When the record cannot be read.
pub fn mismatch(stack: &Stack, service: &Service) -> Result<Option<String>> {
    let made_by = recorded(stack)?.remove(&service.name);
    let is_other = |image: &String| (*image == service.offline_image) != stack.is_offline(service);
    Ok(made_by.filter(|image| service.data.is_some() && is_other(image)))
}

/// The step that records today's images for data that has none on record.
///
/// # Errors
/// A prerequisite problem when a service would start on data of the other kind.
pub fn plan(stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    let mut record = recorded(stack)?;
    let before = record.clone();
    for service in stack.definition.services.iter().filter(|service| service.data.is_some()) {
        if let Some(made_by) = mismatch(stack, service)? {
            return Err(other_kind(stack, service, &made_by)?.into());
        }
        record.entry(service.name.clone()).or_insert(stack.image(service)?);
    }
    if record != before {
        let text = serde_json::to_string_pretty(&record).context("writing the record of images")?;
        plan.write("record which images make the data", path(stack), text, 0o600);
    }
    Ok(plan)
}

/// Forgets the record, after the data has gone.
///
/// # Errors
/// When it cannot be removed.
pub fn forget(stack: &Stack) -> Result<()> {
    let path = path(stack);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn other_kind(stack: &Stack, service: &Service, made_by: &str) -> Result<Problem> {
    let variable = stack.compose.image_variable(&service.name)?;
    let today = stack.image(service)?;
    Ok(Problem::prerequisite(
        "data.other-kind",
        format!("the data of {} was made by {made_by} and must not be opened by {today}", service.name),
    )
    .mend(format!(
        "put {variable}={made_by} into {}; or use another data directory; or lose the data: cargo xtask down {} --purge",
        stack.env.path().display(),
        stack.short()
    )))
}
