//! Published ports: free, this stack's own, or somebody else's?

use anyhow::Result;

use super::exposure;
use super::facts::Facts;
use crate::docker::container::Container;
use crate::docker::endpoint::Endpoint;
use crate::host::ports::{self, Port};
use crate::report::finding::{Finding, Severity};
use crate::stack::Stack;
use crate::stack::published::PublishedPort;

pub(super) fn in_use(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let file = facts.shown(stack.env.path());
    let invalid = invalid(facts, stack)?;
    if !invalid.is_empty() {
        return Ok(invalid);
    }
    let published = stack.compose.published_ports(&stack.env)?;
    if Endpoint::current().is_remote() {
        let found = "whether ports are free is unknown: they are the engine's";
        return Ok(vec![Finding::ok("port.in-use", found).about(stack.name())]);
    }
    if exposure::unusable(stack).is_some() {
        return Ok(Vec::new());
    }
    // Without an engine, who listens is all that can be known.
    let containers = facts.containers().unwrap_or_default();
    let located = |port: &PublishedPort| {
        let finding = judge(stack, port, containers, &file).about(port.service.as_str());
        match &port.variable {
            Some(name) if finding.severity > Severity::Ok => facts.place(stack, name, finding),
            _ => finding,
        }
    };
    Ok(published.iter().map(located).collect())
}

/// Ports that are none.
pub(super) fn invalid(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let published = stack.compose.published_ports(&stack.env)?;
    let finding = |port: &PublishedPort| {
        let name = port.variable.as_deref().unwrap_or(&port.service);
        let value = stack.env.get(name).unwrap_or_default();
        let found = format!("{name} is `{value}`, which is not a port");
        let finding = Finding::error("port.invalid", found).needs("a number from 1 to 65535");
        let default = stack.compose.defaults().remove(name);
        let mend = default.map(|default| format!("{name}={default}, or another that is free"));
        facts.place(stack, name, finding.mend(mend.unwrap_or_else(|| "correct it".to_owned())))
    };
    Ok(published.iter().filter(|port| port.port == 0).map(finding).collect())
}

fn judge(stack: &Stack, port: &PublishedPort, containers: &[Container], file: &str) -> Finding {
    let (address, number) = (port.address, port.port);
    let project = stack.project();
    let what = format!("port {number}");
    let holder = containers.iter().find(|container| container.publishes(address, number));
    let by = match holder {
        Some(own) if own.project() == Some(&project) => {
            return Finding::ok("port.in-use", format!("{what} is this stack's own"));
        }
        Some(other) => match other.project() {
            Some(of) => format!("the container {} of the project {of}", other.name()),
            None => format!("the container {}", other.name()),
        },
        None => match ports::probe(address, number) {
            Port::Free => {
                return Finding::ok("port.in-use", format!("{what} is free"));
            }
            Port::Taken(Some(process)) => process,
            Port::Taken(None) => "a process that only root may see".to_owned(),
            Port::Unusable(why) => {
                return Finding::error("port.in-use", format!("{what} cannot be bound: {why}"));
            }
        },
    };
    Finding::error("port.in-use", format!("{what} is taken by {by}"))
        .mend(way_out(port, holder, file))
}

fn way_out(port: &PublishedPort, holder: Option<&Container>, file: &str) -> String {
    let stop = match holder {
        Some(container) => format!("docker stop {}", container.name()),
        None => format!("stop it (sudo ss -ltnp 'sport = :{}' shows it)", port.port),
    };
    let address = port.address;
    let candidates = port.port.saturating_add(1)..=port.port.saturating_add(200);
    let free = candidates.into_iter().find(|port| ports::probe(address, *port) == Port::Free);
    match (&port.variable, free) {
        (Some(variable), Some(free)) => format!("{stop}, or put {variable}={free} into {file}"),
        (Some(variable), None) => format!("{stop}, or choose another {variable} in {file}"),
        (None, _) => stop,
    }
}

/// Two services cannot have one port.
pub(super) fn twice(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let mut all = Vec::new();
    for stack in facts.stacks {
        // A port that is none is the other check's finding.
        let published = stack.compose.published_ports(&stack.env).unwrap_or_default();
        for port in published.into_iter().filter(|port| port.port > 0) {
            all.push(port);
        }
    }
    let mut findings: Vec<_> = clashes(&all)
        .into_iter()
        .map(|(one, other)| {
            let name = |port: &PublishedPort| {
                port.variable.clone().unwrap_or_else(|| port.service.clone())
            };
            let found = format!("{} and {} are both {}", name(one), name(other), one.port);
            let mend = format!("choose another {} in the .env of its stack", name(other));
            Finding::error("port.twice", found).mend(mend)
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::ok("port.twice", "every service has a port of its own"));
    }
    Ok(findings)
}

/// As [`twice`], for one stack.
pub(super) fn twice_in(facts: &Facts<'_>, _: &Stack) -> Result<Vec<Finding>> {
    twice(facts)
}

fn clashes(all: &[PublishedPort]) -> Vec<(&PublishedPort, &PublishedPort)> {
    let others = |index: usize| all.iter().skip(index + 1);
    let pairs = all
        .iter()
        .enumerate()
        .flat_map(|(index, one)| others(index).map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| one.port == other.port && ports::overlap(one.address, other.address))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_on_two_addresses_is_no_clash() {
        let port = |address: &str, service: &str, port| {
            let (service, address) = (service.to_owned(), address.parse().unwrap());
            PublishedPort { service, variable: None, address, port }
        };
        let all = [
            port("127.0.0.1", "a", 80),
            port("127.0.0.2", "b", 80),
            port("0.0.0.0", "c", 81),
            port("127.0.0.1", "d", 81),
        ];
        let found: Vec<_> =
            clashes(&all).iter().map(|(a, b)| (a.service.clone(), b.service.clone())).collect();
        assert_eq!(found, [("c".to_owned(), "d".to_owned())]);
    }
}
