//! Services: do they stay up, and do they run as `.env` says today?

use std::time::Duration;

use anyhow::Result;

use super::facts::Facts;
use crate::docker::container::Container;
use crate::ready::outdated_ports;
use crate::report::advice::Xtask;
use crate::report::finding::Finding;
use crate::stack::Stack;

/// A service that has been restarted and is younger is not up yet.
const YOUNG: Duration = Duration::from_secs(60);

pub(super) fn state(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for container in facts.containers_of(stack)? {
        let Some(service) = container.service() else { continue };
        let logs = Xtask::Logs(stack.on(), service.to_owned());
        let finding = match troubled(&container) {
            Some(finding) => finding.mend(logs),
            None => match outdated_ports(stack, &container, service) {
                Some((runs, wanted)) => {
                    let found = format!("it runs with an older .env: on port {runs}, not {wanted}");
                    let mend = Xtask::Up(stack.on());
                    Finding::warning("service.outdated", found).mend(mend)
                }
                None => Finding::ok("service.state", format!("it is {}", container.state.status)),
            },
        };
        findings.push(finding.about(service));
    }
    Ok(findings)
}

fn troubled(container: &Container) -> Option<Finding> {
    let (state, restarts) = (&container.state, container.restart_count);
    let code = state.exit_code;
    let is_young = container.uptime().is_some_and(|uptime| uptime < YOUNG);
    match state.status.as_str() {
        "exited" | "dead" if code != 0 => {
            Some(Finding::error("service.ended", format!("it has ended with status {code}")))
        }
        "restarting" => Some(Finding::error(
            "service.restarts",
            format!("it ends with status {code} again and again"),
        )),
        "running" if restarts > 1 && is_young => Some(Finding::error(
            "service.restarts",
            format!("it has been restarted {restarts} times, at last a moment ago"),
        )),
        "running" if container.health() == Some("unhealthy") => {
            Some(Finding::error("service.unhealthy", "it runs, but its health check fails"))
        }
        _ => None,
    }
}

/// Whether `service` runs, on the ports of today's `.env`.
pub(super) fn runs_as_configured(facts: &Facts<'_>, stack: &Stack, service: &str) -> Result<bool> {
    let containers = facts.containers_of(stack)?;
    let mut its = containers.iter().filter(|container| container.service() == Some(service));
    Ok(its.any(|container| {
        container.is_running() && outdated_ports(stack, container, service).is_none()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(status: &str, code: i64, restarts: i64, started: &str) -> Container {
        serde_json::from_value(serde_json::json!({
            "Id": "1", "Name": "/x", "Image": "i", "RestartCount": restarts,
            "State": { "Status": status, "StartedAt": started, "ExitCode": code },
            "Config": { "Image": "i" }, "HostConfig": {}, "NetworkSettings": {},
        }))
        .unwrap()
    }

    #[test]
    fn a_service_that_does_not_stay_up_is_an_error() {
        let (old, now) = ("2020-01-01T00:00:00Z", jiff::Timestamp::now().to_string());
        for (container, expected) in [
            (container("running", 0, 0, &now), None),
            (container("running", 1, 9, old), None),
            (container("running", 1, 9, &now), Some("service.restarts")),
            (container("restarting", 1, 0, old), Some("service.restarts")),
            (container("exited", 137, 0, old), Some("service.ended")),
            (container("exited", 0, 0, old), None),
        ] {
            let found = troubled(&container).map(|finding| finding.id);
            assert_eq!(found, expected, "{container:?}");
        }
    }
}
