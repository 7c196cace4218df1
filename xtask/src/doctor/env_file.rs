//! A stack's `.env`: there, complete, strong, private, and read alike by every Compose.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};

use super::facts::Facts;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Severity};
use crate::report::nearest::nearest;
use crate::report::units::Bytes;
use crate::setup::{origin, recovered};
use crate::stack::Stack;
use crate::stack::env::shell;
use crate::stack::manifest::{MemoryPair, Service};
use crate::stack::missing::{Missing, Source};

/// Who asks about the file needs it; who asks about the machine is about to have it written.
pub(super) fn absent(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = missing(facts, stack)?;
    let is_gone = containers(facts, stack) > 0;
    for finding in findings.iter_mut().filter(|finding| finding.severity == Severity::Warning) {
        finding.severity = Severity::Error;
        if !is_gone {
            finding.mend = Xtask::EnvInit(stack.on()).into();
        }
    }
    Ok(findings)
}

/// Containers that still have the values of the file; none where no engine answers.
fn containers(facts: &Facts<'_>, stack: &Stack) -> usize {
    facts.containers_of(stack).map_or(0, |containers| containers.len())
}

pub(super) fn missing(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let (file, on) = (facts.shown(stack.env.path()), stack.on());
    let is_missing = |found| Finding::warning("env.missing", found);
    let keeper =
        stack.definition.services.iter().find(|service| origin::keeps_password(stack, service));
    let finding = match keeper {
        _ if stack.env.text().is_some() => Finding::ok("env.missing", format!("{file} is there")),
        _ if containers(facts, stack) > 0 => {
            let gone = recovered::gone(stack, containers(facts, stack));
            is_missing(gone.message).mend(gone.mend)
        }
        None => is_missing(format!("{file} is not there yet"))
            .mend(format!("{} writes it", Xtask::Up(on))),
        Some(Service { name, .. }) => is_missing(format!(
            "{file} is not there, and the data of {name} has the password of an older one"
        ))
        .mend(Advice::from("put it back").or(format!(
            "write a new one and give the data its password: {}, then {}",
            Xtask::Up(on.clone()),
            Xtask::SetPassword(on, name.clone())
        ))),
    };
    Ok(vec![finding.about(stack.name())])
}

pub(super) fn incomplete(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if stack.env.text().is_none() {
        return Ok(Vec::new());
    }
    let init = format!("{} (keeps every value that is there)", Xtask::EnvInit(stack.on()));
    let mut findings = Vec::new();
    for Missing { name, source } in stack.missing()? {
        let state = if stack.env.assignment(&name).is_some() { "empty" } else { "missing" };
        let finding = match source {
            // Composes take it from there too.
            Source::Shell(_) => continue,
            Source::CommandLine(_) => Finding::warning(
                "env.incomplete",
                format!("{name} is {state}; plain compose would take another value than xtask"),
            )
            .mend(&init),
            Source::Person => Finding::error(
                "env.incomplete",
                format!("{name} is {state}, and .env.example has no value"),
            )
            .mend(format!("write NAME=value into {}", stack.env_file())),
            Source::Generated | Source::Example(_) => {
                Finding::error("env.incomplete", format!("{name} is {state}")).mend(&init)
            }
        };
        findings.push(facts.place(stack, &name, finding));
    }
    if findings.is_empty() {
        findings
            .push(Finding::ok("env.incomplete", "every variable has a value").about(stack.name()));
    }
    Ok(findings)
}

pub(super) fn ambiguous(_: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if stack.env.text().is_none() {
        return Ok(Vec::new());
    }
    let mut findings = stack.unclear();
    if findings.is_empty() {
        let found = "every Compose reads the file alike";
        findings.push(Finding::ok("env.ambiguous", found).about(stack.name()));
    }
    Ok(findings)
}

/// A name that stands there twice: only the last counts, and people change the first.
pub(super) fn duplicate(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if stack.env.text().is_none() {
        return Ok(findings);
    }
    let all = stack.env.assignments();
    for (index, again) in all.iter().enumerate().filter(|(_, again)| !again.key.is_empty()) {
        let earlier = all.iter().take(index).rfind(|earlier| earlier.key == again.key);
        if let Some(earlier) = earlier {
            let found =
                format!("{} stands on line {} too; this one counts", again.key, earlier.line);
            let finding = Finding::warning("env.duplicate", found).mend("remove one of the lines");
            findings.push(finding.at(facts.shown(stack.env.path()), Some(again.line)));
        }
    }
    Ok(findings)
}

pub(super) fn unknown(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if stack.env.text().is_none() {
        return Ok(Vec::new());
    }
    let mut known: Vec<_> =
        stack.compose.variables().iter().map(|variable| variable.name.as_str()).collect();
    known.extend(stack.other_variables());
    let of_tools = |key: &str| key.starts_with("COMPOSE_") || key.starts_with("DOCKER_");
    let mut findings = Vec::new();
    for assignment in stack.env.assignments() {
        let key = assignment.key.as_str();
        if key.is_empty() || known.contains(&key) || of_tools(key) {
            continue;
        }
        let (id, mend) = match nearest(key, &known) {
            Some(near) => ("env.misspelt", format!("did you mean {near}?")),
            None => ("env.unknown", "remove the line, if nothing else reads it".to_owned()),
        };
        let found = format!("the {} stack uses no {key}", stack.name());
        let finding = Finding::warning(id, found).mend(mend);
        findings.push(finding.at(facts.shown(stack.env.path()), Some(assignment.line)));
    }
    Ok(findings)
}

pub(super) fn mode(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let path = stack.env.path();
    if stack.env.text().is_none() {
        return Ok(Vec::new());
    }
    let metadata = path.metadata().with_context(|| format!("looking at {}", path.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    let finding = if mode & 0o077 == 0 {
        Finding::ok("env.mode", format!("only its owner may read it ({mode:04o})"))
    } else {
        Finding::error("env.mode", format!("other users may read its passwords ({mode:04o})"))
            .needs("0600")
            .mend(format!("chmod 600 {}", crate::process::quote(&path.to_string_lossy())))
    };
    Ok(vec![finding.at(facts.shown(path), None)])
}

pub(super) fn memory_pairs(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let judge = |pair: &MemoryPair| judge_pair(pair, &|name| stack.env.get(name));
    let located = |pair: &MemoryPair| facts.place(stack, &pair.container, judge(pair));
    Ok(stack.definition.memory_pairs.iter().map(located).collect())
}

fn judge_pair(pair: &MemoryPair, get: &dyn Fn(&str) -> Option<String>) -> Finding {
    let id = "env.memory-pair";
    let MemoryPair { server, container, ratio, reason } = pair;
    let size = |name: &str| get(name).unwrap_or_default().parse::<Bytes>();
    let unreadable = |name: &str, why: &str| {
        Finding::error(id, format!("{name}: {why}")).mend(format!("write {name} as 512m or 2gb"))
    };
    let (inner, outer) = match (size(server), size(container)) {
        (Ok(inner), Ok(outer)) => (inner, outer),
        (Err(why), _) => return unreadable(server, &why),
        (_, Err(why)) => return unreadable(container, &why),
    };
    let wanted = Bytes((inner.0 as f64 * ratio) as u64);
    if outer >= wanted {
        return Finding::ok(id, format!("{container} {outer} leaves room above {server} {inner}"));
    }
    Finding::error(id, format!("{container} is {outer} with {server} at {inner}: {reason}"))
        .needs(format!("at least {ratio} times as much, {wanted}"))
        .mend(format!("{container}={}m", wanted.0.div_ceil(1 << 20)))
}

pub(super) fn overridden(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let names = stack.compose.variables().iter().map(|variable| variable.name.as_str());
    let mut findings = Vec::new();
    let is_meant = |name: &&str| stack.env.presets().contains_key(*name);
    for name in names.chain(["COMPOSE_PROJECT_NAME"]).filter(|name| !is_meant(name)) {
        let (Some(exported), Some(written)) = (shell(name), stack.env.in_file(name)) else {
            continue;
        };
        if exported != written {
            let found = format!("the shell exports another {name}, which Compose prefers");
            let finding = Finding::warning("env.overridden", found);
            findings.push(facts.place(stack, name, finding.mend(format!("unset {name}"))));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_needs_more_than_its_server() {
        let pair = MemoryPair {
            server: "S".to_owned(),
            container: "C".to_owned(),
            ratio: 1.5,
            reason: "a save".to_owned(),
        };
        let judge = |server: &'static str, container: &'static str| {
            let get =
                move |name: &str| Some(if name == "S" { server } else { container }.to_owned());
            judge_pair(&pair, &get)
        };
        assert!(judge("2gb", "3gb").mend.is_empty());
        assert_eq!(judge("2gb", "2gb").mend, "C=3072m".into());
        assert_eq!(judge("lots", "2gb").mend, "write S as 512m or 2gb".into());
    }
}
