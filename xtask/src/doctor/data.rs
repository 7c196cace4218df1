//! Data: who else uses it, who made it, do the passwords open it, what has a killed run left?

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::facts::Facts;
use super::services::runs_as_configured;
use crate::client::Unanswered;
use crate::data::{self, known, mounts};
use crate::docker::container::Container;
use crate::docker::endpoint::Endpoint;
use crate::host::files::partials;
use crate::host::lock;
use crate::ready;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Problem};
use crate::report::units::count;
use crate::setup::{absent, origin};
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Two servers on one directory destroy it.
pub(super) fn in_use(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let id = "data.in-use";
    let users = mounts::users(stack, facts.containers()?);
    let mut findings: Vec<_> = users
        .into_iter()
        .map(|(container, path)| mounts::finding(stack, container, &path))
        .collect();
    match data::look_for_users(stack) {
        Err(error) if error.is::<Problem>() => {
            findings.push(Finding::of_error(id, &error).about(stack.name()));
        }
        // The record belongs to the user who ran setup.
        Err(error) => {
            let found = format!("who used the data last is unknown: {error:#}");
            findings.push(Finding::warning(id, found).about(stack.name()));
        }
        Ok(()) => {}
    }
    if findings.is_empty() {
        let found = "no other engine or project has the data directories";
        findings.push(Finding::ok(id, found).about(stack.name()));
    }
    Ok(findings)
}

/// A first start is only what nobody remembers otherwise.
pub(super) fn gone(_: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if let Err(error) = known::refuse_gone(stack) {
        return Ok(vec![Finding::of_error("data.gone", &error).about(stack.name())]);
    }
    Ok(absent::services(stack).into_iter().map(|service| absent::finding(stack, service)).collect())
}

/// A running service that has its data in another place than `.env` says would come up empty.
pub(super) fn moved(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let containers = facts.containers_of(stack)?;
    for service in &stack.definition.services {
        let Some(data) = &service.data else { continue };
        let here = real(&stack.data_path(data));
        let its = containers.iter().find(|found| found.service() == Some(&service.name));
        let mounts = its.iter().flat_map(|container| &container.mounts);
        let sources = mounts.filter(|mount| mount.writable).map(|mount| Path::new(&mount.source));
        let elsewhere = sources.filter(|source| source.ends_with(&data.path));
        for source in
            elsewhere.filter(|source| facts.engine_place().shares_machine() && real(source) != here)
        {
            let found =
                format!("its data is in {}, and not in {}", source.display(), here.display());
            findings.push(
                Finding::error("data.moved", found).about(service.name.as_str()).mend(
                    Advice::from(format!(
                        "put the old DATA_DIR back into {}",
                        facts.shown(stack.env.path())
                    ))
                    .or(format!(
                        "take the stack down, move the data, and start it again: {}",
                        Xtask::Down(stack.on())
                    )),
                ),
            );
        }
    }
    Ok(findings)
}

/// Another clone of the repository with a project of the same name would be overwritten.
pub(super) fn other_clone(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let here = real(&stack.folder);
    let containers = facts.containers_of(stack)?;
    let folders = containers.iter().filter_map(|container| container.compose_folder());
    // A clone that has moved or gone has left its containers to us.
    let other = folders
        .map(Path::new)
        .find(|folder| real(folder) != here && folder.join("docker-compose.yml").is_file());
    Ok(other
        .into_iter()
        .map(|folder| {
            let project = stack.project();
            let found = format!("the project {project} was started from {}", folder.display());
            Finding::error("project.other-clone", found).about(stack.name()).mend(
                Advice::from("take it down there")
                    .or("give this copy a name, ports and data of its own: --project NAME"),
            )
        })
        .collect())
}

/// Without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A stand-in never starts on the data of the real server, nor the reverse.
pub(super) fn other_kind(_: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for service in &stack.definition.services {
        let made_by = match origin::mismatch(stack, service) {
            Ok(made_by) => made_by,
            // The record belongs to the user who ran setup.
            Err(error) => {
                let found = format!("which image made the data is unknown: {error:#}");
                return Ok(vec![Finding::warning("data.other-kind", found).about(stack.name())]);
            }
        };
        if let Some(made_by) = made_by {
            let today = stack.image(service)?;
            let found = format!("its data was made by {made_by} and must not be opened by {today}");
            findings.push(
                Finding::error("data.other-kind", found)
                    .about(service.name.as_str())
                    .mend(origin::other_kind_advice(stack, service, &made_by)?),
            );
        }
    }
    Ok(findings)
}

/// Do the passwords of `.env` open the data that is there? A running server knows; of another is on
/// record what opened its data last.
pub(super) fn credentials(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if Endpoint::current().is_remote() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    for service in &stack.definition.services {
        if service.secrets.is_empty() {
            continue;
        }
        if !facts.is_running(stack, &service.name)? {
            findings.extend(locked(facts, stack, service));
            continue;
        }
        // One that runs on other ports is another check's finding.
        if !runs_as_configured(facts, stack, &service.name)? {
            continue;
        }
        for endpoint in &service.endpoints {
            // A port that is none is another check's finding.
            if stack.url(&endpoint.url).is_err() {
                continue;
            }
            let finding = match ready::ask(stack, service, endpoint) {
                Ok(()) => Finding::ok("data.credentials", "the password in .env opens it"),
                Err(Unanswered::NotYet(why)) => {
                    Finding::warning("data.credentials", format!("it does not answer yet: {why}"))
                        .mend(Xtask::Status(stack.on()))
                }
                Err(Unanswered::Refused(why)) => refused(facts, stack, service, &why),
            };
            findings.push(finding.about(service.name.as_str()));
        }
    }
    Ok(findings)
}

fn refused(facts: &Facts<'_>, stack: &Stack, service: &Service, why: &str) -> Finding {
    let name = &service.name;
    let file = facts.shown(stack.env.path());
    let finding = Finding::error(
        "data.credentials",
        format!("{file} does not open it, though it runs: {why}"),
    );
    if service.set_password.is_some() {
        // It took its password when the directory was first filled.
        finding.mend(
            Advice::from(format!(
                "have it take the password of {file}: {}",
                Xtask::SetPassword(stack.on(), name.clone())
            ))
            .or("put the old values back"),
        )
    } else {
        finding.mend(format!("it still runs with an older {file}: {}", Xtask::Up(stack.on())))
    }
}

fn locked(facts: &Facts<'_>, stack: &Stack, service: &Service) -> Option<Finding> {
    // That there is no file, and a record that cannot be read, are other checks' findings.
    stack.env.text()?;
    if !origin::is_locked(stack, service).unwrap_or_default() {
        return None;
    }
    let (name, file) = (&service.name, facts.shown(stack.env.path()));
    let finding = Finding::error(
        "data.credentials",
        format!("{file} has other credentials than those that opened its data last"),
    );
    let mend = Advice::from("put the old values back").or(format!(
        "set the new password in the data: {}, then {}",
        Xtask::Up(stack.on()),
        Xtask::SetPassword(stack.on(), name.clone())
    ));
    Some(finding.about(name.as_str()).mend(mend))
}

pub(super) fn leftovers(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let project = stack.project();
    let is_helper = |container: &&Container| container.helper_of() == Some(&project);
    // Without an engine, files can still be seen.
    let helpers = facts.containers().unwrap_or_default().iter().filter(is_helper).count();
    let files = partial_files(stack)?.len();
    let lock = lock::path(&facts.context().state_folder(), &project);
    if helpers + files == 0 {
        return Ok(vec![
            Finding::ok("run.leftovers", "no run was interrupted").about(stack.name()),
        ]);
    }
    if let Some(holder) = lock::held_by(&lock) {
        let found = format!("it is the work of {holder}");
        return Ok(vec![Finding::ok("run.leftovers", found).about(stack.name())]);
    }
    let found = format!(
        "an interrupted run left {} and {}",
        count(helpers, "helper container"),
        count(files, "half-written file")
    );
    let mend = format!(
        "the next command that changes something removes them, such as: {}",
        Xtask::Setup(stack.on())
    );
    Ok(vec![Finding::warning("run.leftovers", found).mend(mend).about(stack.name())])
}

/// What a killed run began to write beside `.env`.
pub(super) fn partial_files(stack: &Stack) -> Result<Vec<PathBuf>> {
    let name = stack.env.path().file_name().unwrap_or_default().to_string_lossy();
    partials(&stack.folder, &name).with_context(|| format!("listing {}", stack.folder.display()))
}
