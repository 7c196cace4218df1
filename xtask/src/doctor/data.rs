//! Data directories: owners and modes, other users of them, passwords, what a killed run left.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::facts::Facts;
use crate::docker::container::Container;
use crate::host::lock;
use crate::host::user::{self, Owner};
use crate::ready::{self, Unanswered};
use crate::report::finding::Finding;
use crate::setup::{directories as wanted, kind};
use crate::stack::Stack;
use crate::stack::manifest::{DataDirectory, Service};

pub(super) fn directories(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let id = "data.directory";
    let below = stack.data_dir();
    if !facts.shares_owners() {
        let found = format!(
            "whose the directories in {} are is not looked at: the engine sees other owners than this machine",
            below.display()
        );
        return Ok(vec![Finding::ok(id, found).about(stack.name())]);
    }
    let setup = format!("cargo xtask setup {}", stack.short());
    let (mut missing, mut findings) = (Vec::new(), Vec::new());
    for directory in wanted::wanted(stack) {
        let path = stack.data_path(&directory);
        match wanted::inspect(&path)? {
            Some(facts) => findings.extend(judge(&path, &directory, facts, &setup)),
            None => missing.push(directory.path),
        }
    }
    if !missing.is_empty() {
        let found = format!("{} missing in {}", missing.join(", "), below.display());
        findings.push(Finding::warning(id, found).mend(format!("{setup} makes them")));
    }
    if findings.is_empty() {
        let found = format!("the directories in {} have their owners and modes", below.display());
        findings.push(Finding::ok(id, found));
    }
    Ok(findings.into_iter().map(|finding| finding.about(stack.name())).collect())
}

fn judge(
    path: &Path,
    directory: &DataDirectory,
    (owner, mode): (Owner, u32),
    setup: &str,
) -> Option<Finding> {
    let wanted = Stack::owner(directory);
    // Our own directories stay with the user who made them; root can write there all the same.
    let is_right = owner.uid == wanted.uid
        && (directory.owner.is_none() || owner.gid == wanted.gid)
        || directory.owner.is_none() && user::is_root();
    if is_right && mode == directory.mode {
        return None;
    }
    let found = format!("{} belongs to {owner} with mode {mode:04o}", path.display());
    let mend = if is_right || directory.owner.is_some() {
        setup.to_owned()
    } else {
        let quoted = crate::process::quote(&path.to_string_lossy());
        format!("run xtask as that user, or: sudo chown -R {wanted} {quoted}")
    };
    let finding = Finding::error("data.directory", found);
    Some(finding.needs(format!("{wanted}, {:04o}", directory.mode)).mend(mend))
}

/// Two servers on one directory destroy it.
pub(super) fn in_use(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let project = stack.project();
    let directories = stack.definition.services.iter().filter_map(|service| service.data.as_ref());
    let paths: Vec<_> = directories.map(|data| real(&stack.data_path(data))).collect();
    let others = facts.containers()?.iter().filter(|container| {
        container.project() != Some(&project) && container.helper_of() != Some(&project)
    });
    let mut findings = Vec::new();
    for container in others {
        let Some(path) = paths.iter().find(|path| mounts(container, path)) else { continue };
        let name = container.name();
        let found = match container.project() {
            Some(of) => format!("the container {name} of the project {of} has {}", path.display()),
            None => format!("the container {name} has {}", path.display()),
        };
        let elsewhere = format!("or another DATA_DIR in {}", facts.shown(stack.env.path()));
        let finding = if container.is_running() {
            Finding::error("data.in-use", format!("{found}, and runs"))
                .mend(format!("docker stop {name}; {elsewhere}"))
        } else {
            Finding::warning("data.in-use", format!("{found}; it is stopped"))
                .mend(format!("docker rm {name}, if it is not needed; {elsewhere}"))
        };
        findings.push(finding.about(stack.name()));
    }
    if findings.is_empty() {
        let found = "no container of another project has the data directories";
        findings.push(Finding::ok("data.in-use", found).about(stack.name()));
    }
    Ok(findings)
}

/// Whether `container` may write in `path`, above or below it.
fn mounts(container: &Container, path: &Path) -> bool {
    container.mounts.iter().filter(|mount| mount.writable && !mount.source.is_empty()).any(
        |mount| {
            let source = real(Path::new(&mount.source));
            source.starts_with(path) || path.starts_with(&source)
        },
    )
}

/// Without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A stand-in never starts on the data of the real server, nor the reverse.
pub(super) fn other_kind(_: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for service in &stack.definition.services {
        let made_by = match kind::mismatch(stack, service) {
            Ok(made_by) => made_by,
            // The record belongs to the user who ran setup.
            Err(error) => {
                let found = format!("which image made the data is unknown: {error:#}");
                return Ok(vec![Finding::warning("data.other-kind", found).about(stack.name())]);
            }
        };
        if let Some(made_by) = made_by {
            let variable = stack.compose.image_variable(&service.name)?;
            let today = stack.image(service)?;
            let found = format!("its data was made by {made_by} and must not be opened by {today}");
            findings.push(
                Finding::error("data.other-kind", found).about(service.name.as_str()).mend(format!(
                    "put {variable}={made_by} into {}, or lose the data: cargo xtask down {} --purge",
                    stack.env.path().display(),
                    stack.short()
                )),
            );
        }
    }
    Ok(findings)
}

/// Do the passwords of `.env` open the data that is there? Only a running server knows.
pub(super) fn credentials(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if facts.endpoint().is_remote() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    for service in &stack.definition.services {
        if service.secrets.is_empty() || !facts.is_running(stack, &service.name)? {
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
                        .mend(format!("cargo xtask status {}", stack.short()))
                }
                Err(Unanswered::Refused(why)) => refused(facts, stack, service, &why),
            };
            findings.push(finding.about(service.name.as_str()));
        }
    }
    Ok(findings)
}

fn refused(facts: &Facts<'_>, stack: &Stack, service: &Service, why: &str) -> Finding {
    let (short, name) = (stack.short(), &service.name);
    let file = facts.shown(stack.env.path());
    let finding = Finding::error(
        "data.credentials",
        format!("{file} does not open it, though it runs: {why}"),
    );
    if service.set_password.is_some() {
        // It took its password when the directory was first filled.
        finding.mend(format!("have it take the password of {file}: cargo xtask env set-password {short} {name}; or put the old password back; or start anew, losing the data: cargo xtask down {short} --purge"))
    } else {
        finding.mend(format!("it still runs with an older {file}: cargo xtask up {short}"))
    }
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
        let found = format!("{holder} is at work on it");
        return Ok(vec![Finding::ok("run.leftovers", found).about(stack.name())]);
    }
    let found = format!(
        "an interrupted run left {helpers} helper container(s) and {files} half-written file(s)"
    );
    let mend = format!(
        "the next command that changes something removes them, such as: cargo xtask setup {}",
        stack.short()
    );
    Ok(vec![Finding::warning("run.leftovers", found).mend(mend).about(stack.name())])
}

/// What a killed run began to write beside `.env`.
pub(super) fn partial_files(stack: &Stack) -> Result<Vec<PathBuf>> {
    let name = stack.env.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let entries = fs::read_dir(&stack.folder)
        .with_context(|| format!("listing {}", stack.folder.display()))?;
    let is_partial = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&format!(".{name}.")) && file.ends_with(crate::host::files::PARTIAL)
    };
    Ok(entries.flatten().map(|entry| entry.path()).filter(is_partial).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(source: &str, writable: bool) -> Container {
        serde_json::from_value(serde_json::json!({
            "Id": "1", "Name": "/x", "Image": "i",
            "State": { "Status": "running", "StartedAt": "", "ExitCode": 0 },
            "Config": { "Image": "i" }, "HostConfig": {}, "NetworkSettings": {},
            "Mounts": [{ "Source": source, "Destination": "/d", "RW": writable }],
        }))
        .unwrap()
    }

    #[test]
    fn who_may_write_above_or_below_a_directory_uses_it() {
        let path = Path::new("/nowhere/data/postgres");
        for (source, expected) in [
            ("/nowhere/data/postgres", true),
            ("/nowhere/data", true),
            ("/nowhere/data/postgres/base", true),
            ("/nowhere/data/postgres2", false),
            ("/nowhere/data/redis", false),
            ("", false),
        ] {
            assert_eq!(mounts(&container(source, true), path), expected, "{source}");
            assert!(!mounts(&container(source, false), path), "{source}");
        }
    }
}
