//! What opens a stack beyond this machine, and what has one Compose do something else than the
//! other: addresses of published ports, variables of tools in `.env`, compose files beside ours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;

use super::facts::Facts;
use crate::docker::endpoint::Endpoint;
use crate::host::ports::{self, Port};
use crate::report::finding::Finding;
use crate::stack::Stack;

/// Variables that reach some programs from `.env` and others not. Exported in the shell they
/// reach all.
const ENGINE_VARIABLES: &[&str] =
    &["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONFIG"];

/// Names under which a Compose by hand takes a file instead of ours, or on top of it.
const OTHER_FILES: &[&str] = &[
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
];

/// Whether ports can be bound where they should be, and who can reach them there.
pub(super) fn addresses(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if let Some(finding) = unusable(stack) {
        return Ok(vec![facts.place(stack, "BIND_ADDRESS", finding)]);
    }
    let mut by_address: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
    for port in stack.compose.published_ports(&stack.env)? {
        by_address.entry(port.address).or_default().insert(port.service);
    }
    let open = by_address.iter().filter_map(|(address, services)| {
        let services: Vec<_> = services.iter().map(String::as_str).collect();
        let finding = judge_open(*address, &services.join(", "))?;
        let is_chosen = *address == stack.bind_address();
        Some(if is_chosen {
            let mend = "BIND_ADDRESS=127.0.0.1, and from elsewhere an SSH tunnel; leave it where every network of this machine is trusted";
            facts.place(stack, "BIND_ADDRESS", finding.mend(mend))
        } else {
            let mend = "put 127.0.0.1: before the port in the compose file";
            finding.about(stack.name()).mend(mend)
        })
    });
    let mut findings: Vec<_> = open.collect();
    if findings.is_empty() {
        let found = "ports are published on this machine alone";
        findings.push(Finding::ok("port.open", found).about(stack.name()));
    }
    Ok(findings)
}

/// What is wrong with the address that ports are bound to.
pub(super) fn unusable(stack: &Stack) -> Option<Finding> {
    let text = stack.env.get("BIND_ADDRESS").unwrap_or_default();
    let refused = |why: &str| {
        let found = format!("BIND_ADDRESS is `{text}`, {why}");
        let mend = "127.0.0.1 is this machine alone, 0.0.0.0 everybody who reaches it";
        Some(Finding::error("port.address", found).mend(mend))
    };
    if !text.is_empty() && text.parse::<IpAddr>().is_err() {
        return refused("which is not an IP address");
    }
    if Endpoint::current().is_remote() {
        return None;
    }
    match ports::probe(stack.bind_address(), 0) {
        Port::Unusable(why) => refused(&format!("which this machine cannot bind: {why}")),
        _ => None,
    }
}

/// What it means that `services` publish ports on `address`; nothing where it is this machine's own.
fn judge_open(address: IpAddr, services: &str) -> Option<Finding> {
    let who = match address.to_canonical() {
        own if own.is_loopback() => return None,
        all if all.is_unspecified() => {
            "everybody who reaches this machine over any network".to_owned()
        }
        one => format!("everybody who reaches {one}"),
    };
    let found = format!(
        "{who} reaches {services}: passwords and data cross that network unencrypted, and Docker's rules let them in before those of ufw and firewalld are asked"
    );
    Some(Finding::warning("port.open", found))
}

/// Variables of Docker and Compose in `.env` that one program follows and another does not.
pub(super) fn diverting(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let files = stack.compose.paths().iter().filter_map(|path| path.file_name()?.to_str());
    let files = files.collect::<Vec<_>>().join(":");
    let mut findings = Vec::new();
    for assignment in stack.env.assignments().iter().filter(|_| stack.env.text().is_some()) {
        let value = assignment.value.as_deref().unwrap_or("unclear");
        if let Some(finding) = judge_variable(&assignment.key, value, &files) {
            findings.push(finding.at(facts.shown(stack.env.path()), Some(assignment.line)));
        }
    }
    Ok(findings)
}

/// What is wrong with `name` having `value` in an `.env`, where `up` reads these compose `files`.
fn judge_variable(name: &str, value: &str, files: &str) -> Option<Finding> {
    if value.is_empty() {
        return None;
    }
    if ENGINE_VARIABLES.contains(&name) {
        let found = format!(
            "{name} counts here for docker-compose 1.x alone: it would start containers on another engine than docker and the other commands look at"
        );
        let mend = format!("remove the line, and export {name} in the shell, which all follow");
        return Some(Finding::error("env.diverts", found).mend(mend));
    }
    let is_usual = || files == value || files.split(':').next() == Some(value);
    (name == "COMPOSE_FILE" && !is_usual()).then(|| {
        let found = format!("Compose by hand takes {value}, and `up` takes {files}");
        Finding::warning("env.diverts", found).mend(format!("COMPOSE_FILE={files}"))
    })
}

/// Compose files beside ours: the person's own, and those that count by hand alone.
pub(super) fn files(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let is_there = |name: &&&str| stack.folder.join(name).exists();
    let used = stack.override_name();
    let refused = |name: &&str| {
        let found = "Compose by hand takes this file, and `up` does not";
        let mend = format!("rename it {used}, which both take on top of ours, or remove it");
        Finding::error("compose.other-file", found)
            .at(facts.shown(&stack.folder.join(name)), None)
            .mend(mend)
    };
    let used = stack.compose.override_path().map(|path: &Path| {
        Finding::ok("compose.override", "is used, on top of the compose file and its overlay")
            .at(facts.shown(path), None)
    });
    Ok(OTHER_FILES.iter().filter(is_there).map(refused).chain(used).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Severity::{Error, Warning};

    #[test]
    fn an_address_that_others_reach_is_a_warning_with_what_it_means() {
        for (address, who) in [
            ("0.0.0.0", "over any network"),
            ("::", "over any network"),
            ("::ffff:0.0.0.0", "over any network"),
            ("192.168.1.5", "reaches 192.168.1.5"),
            ("fe80::1", "reaches fe80::1"),
            ("8.8.8.8", "reaches 8.8.8.8"),
        ] {
            let finding = judge_open(address.parse().unwrap(), "postgres").unwrap();
            assert_eq!(finding.severity, Warning);
            for words in [who, "reaches postgres", "unencrypted", "ufw"] {
                assert!(finding.found.contains(words), "{address}: {}", finding.found);
            }
        }
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(judge_open(own.parse().unwrap(), "postgres").is_none(), "{own}");
        }
    }

    #[test]
    fn a_variable_that_leads_one_compose_elsewhere_is_not_passed_over() {
        let files = "docker-compose.yml:docker-compose.overlay.yml";
        let judge = |name, value| judge_variable(name, value, files);
        for name in ENGINE_VARIABLES {
            let finding = judge(name, "tcp://192.0.2.1:2375").unwrap();
            assert_eq!(finding.severity, Error, "{name}");
            assert!(judge(name, "").is_none(), "{name}");
        }
        assert_eq!(judge("COMPOSE_FILE", "other.yml").unwrap().severity, Warning);
        for fine in ["docker-compose.yml", files] {
            assert!(judge("COMPOSE_FILE", fine).is_none(), "{fine}");
        }
        assert!(judge("COMPOSE_PROFILES", "containers").is_none());
    }
}
