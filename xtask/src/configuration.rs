//! Configuration that services see as it lies in the repository: checked before a service meets it,
//! taken by a running one without a restart.
//!
//! Whether it has changed is not remembered but seen: a service that last loaded its configuration
//! before the folder was last changed has an old one.

mod broken;
mod load;

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Result;

use self::load::Change;
use crate::context::Context;
use crate::docker::container::{Container, running};
use crate::host::files;
use crate::plan::Plan;
use crate::report::finding::Finding;
use crate::setup::generated;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Has the running services of `stack` take what has changed, and shows that they did.
///
/// # Errors
/// When one refuses it, or does not say that it has taken it.
pub fn load(cx: &Context, stack: &Stack) -> Result<()> {
    let containers = cx.containers(stack)?;
    let changes = changes(stack, &containers)?;
    plan_of(&changes, stack)?.carry_out(&cx.report)?;
    changes.iter().try_for_each(|change| change.prove(cx, stack))
}

/// The steps of [`load()`] as things are now.
///
/// # Errors
/// When a service does not say what it has loaded.
pub fn plan(stack: &Stack, containers: &[Container]) -> Result<Plan> {
    plan_of(&changes(stack, containers)?, stack)
}

fn changes<'a>(stack: &'a Stack, containers: &'a [Container]) -> Result<Vec<Change<'a>>> {
    let mut changes = Vec::new();
    for service in stack.active() {
        if let Some(container) = running(containers, &service.name) {
            changes.extend(Change::of(stack, service, container)?);
        }
    }
    Ok(changes)
}

fn plan_of(changes: &[Change<'_>], stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    changes.iter().try_for_each(|change| change.plan(stack, &mut plan))?;
    Ok(plan)
}

/// Refuses what is broken among the configurations that the services have not met yet.
///
/// # Errors
/// A problem with each complaint, its file and its line.
pub fn refuse_broken(cx: &Context, stack: &Stack, containers: &[Container]) -> Result<()> {
    let mut unknown = Vec::new();
    for service in stack.active() {
        let started = running(containers, &service.name).and_then(Container::started_at);
        if folder_changed_at(stack, service)? > started {
            unknown.push(service);
        }
    }
    broken::refuse(cx, stack, &unknown)
}

/// Every file of a configuration that is no YAML or JSON at all.
///
/// # Errors
/// When a folder cannot be listed.
pub fn malformed_files(cx: &Context, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for folder in stack.definition.services.iter().filter_map(|service| folder(stack, service)) {
        findings
            .extend(files::below(&folder)?.iter().filter_map(|path| broken::malformed(cx, path)));
    }
    Ok(findings)
}

/// The folder of its configuration.
fn folder(stack: &Stack, service: &Service) -> Option<PathBuf> {
    Some(stack.folder.join(&service.configuration.as_ref()?.folder))
}

/// When the folder was last changed.
fn folder_changed_at(stack: &Stack, service: &Service) -> Result<Option<SystemTime>> {
    folder(stack, service).map(|folder| files::changed_at(&folder)).transpose()
}

/// When what was made for it was last changed.
fn generated_changed_at(stack: &Stack, service: &Service) -> Result<Option<SystemTime>> {
    match &service.generated {
        Some(_) => generated::changed_at(stack, service),
        None => Ok(None),
    }
}
