//! Waiting until every endpoint of a stack answers, and saying why one does not.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Unanswered, ask};
use crate::context::Context;
use crate::docker::container::Container;
use crate::docker::docker;
use crate::process::check_interrupted;
use crate::report::finding::Problem;
use crate::report::live::Live;
use crate::report::units::duration;
use crate::setup::origin;
use crate::stack::Stack;
use crate::stack::manifest::{Endpoint, Service};

/// Between two rounds of questions.
const ROUND: Duration = Duration::from_millis(100);
/// Between two looks at the containers.
const LOOK: Duration = Duration::from_secs(1);
/// Restarts after which a container will not come up by waiting.
const RESTARTS: i64 = 3;
/// Lines of its log that are shown when a service does not come up.
const LOG_LINES: &str = "12";

struct Pending<'a> {
    service: &'a Service,
    endpoint: &'a Endpoint,
    last: String,
}

/// Waits until every endpoint of `services` has answered.
///
/// # Errors
/// When one refuses our credentials, its container does not stay up, or the time is over: with
/// the service's last lines, what they mean, and what to do.
pub fn until_ready(
    cx: &Context,
    stack: &Stack,
    services: &[&Service],
    limit: Duration,
) -> Result<()> {
    let start = Instant::now();
    let mut pending: Vec<_> = services
        .iter()
        .flat_map(|service| service.endpoints.iter().map(move |endpoint| (*service, endpoint)))
        .map(|(service, endpoint)| Pending { service, endpoint, last: "not asked yet".to_owned() })
        .collect();
    let mut live = Live::new(&cx.report);
    let mut looked = Instant::now();
    loop {
        let mut left = Vec::new();
        for mut question in pending {
            check_interrupted()?;
            let url = stack.url(&question.endpoint.url)?;
            match ask(&url, question.endpoint.probe_path.as_deref()) {
                Ok(()) => {
                    live.clear();
                    let Pending { service, endpoint, .. } = question;
                    cx.report.done(format!(
                        "{}: {} answers ({})",
                        service.name,
                        endpoint.name,
                        duration(start.elapsed())
                    ));
                }
                Err(Unanswered::Refused(why)) => {
                    live.clear();
                    return Err(refused(stack, question.service, &why).into());
                }
                Err(Unanswered::NotYet(why)) => {
                    question.last = why;
                    left.push(question);
                }
            }
        }
        pending = left;
        let Some(slowest) = pending.first() else { return Ok(()) };
        let waited = start.elapsed();
        live.show(&format!(
            "waiting for {}: {} ({})",
            slowest.service.name,
            slowest.last,
            duration(waited)
        ));
        if looked.elapsed() > LOOK || waited > limit {
            looked = Instant::now();
            let containers = cx.containers(stack)?;
            for question in &pending {
                let container = containers
                    .iter()
                    .find(|container| container.service() == Some(&question.service.name));
                let why = match container {
                    Some(container) => hopeless(container),
                    None => Some("has no container".to_owned()),
                };
                let why = why.or_else(|| {
                    (waited > limit).then(|| {
                        format!("does not answer after {}: {}", duration(waited), question.last)
                    })
                });
                if let Some(why) = why {
                    live.clear();
                    return Err(failed(stack, question.service, container, &why).into());
                }
            }
        }
        std::thread::sleep(ROUND);
    }
}

/// Why waiting longer for this container makes no sense.
fn hopeless(container: &Container) -> Option<String> {
    let state = &container.state;
    match state.status.as_str() {
        "exited" | "dead" => Some(format!("has ended with status {}", state.exit_code)),
        _ if container.restart_count >= RESTARTS => Some(format!(
            "has ended with status {} and been restarted {} times",
            state.exit_code, container.restart_count
        )),
        _ => None,
    }
}

fn refused(stack: &Stack, service: &Service, why: &str) -> Problem {
    let (short, name) = (stack.short(), &service.name);
    let file = stack.env.path().display();
    let anew = format!("start anew and lose the data: cargo xtask down {short} --purge");
    if origin::may_be_half_made(stack, service) {
        let found = format!(
            "{name} answers, but its data is half made: its first start was cut off ({why})"
        );
        return Problem::failed("data.half-initialised", found).mend(anew);
    }
    let found = format!("{name} answers, but refuses the credentials of {file}: {why}");
    let problem = Problem::failed("credentials.refused", found);
    match service.set_password {
        // It took its password when the directory was first filled.
        Some(_) => problem.mend(format!("the data directory was probably made with another password, user or database. Put the old values back into {file}; or set the new password in the data: cargo xtask env set-password {short} {name}; or {anew}")),
        None => problem.mend(format!("it still runs with older values: cargo xtask up {short}")),
    }
}

fn failed(stack: &Stack, service: &Service, container: Option<&Container>, why: &str) -> Problem {
    let mut message = format!("{} {why}", service.name);
    let log = container.map(|container| last_lines(&container.id)).unwrap_or_default();
    if !log.is_empty() {
        let quoted: Vec<_> = log.lines().map(|line| format!("  | {line}")).collect();
        message = format!("{message}. Its last lines:\n{}", quoted.join("\n"));
    }
    let known = service.explanations.iter().find(|known| log.contains(&known.contains));
    let problem = |message| Problem::failed("service.not-ready", message);
    match known {
        Some(known) => problem(format!("{message}\nThat means: {}", known.means)).mend(&known.mend),
        None => {
            problem(message).mend(format!("cargo xtask logs {} {}", stack.short(), service.name))
        }
    }
}

fn last_lines(id: &str) -> String {
    let output = docker().args(["logs", "--tail", LOG_LINES, id]).output();
    output
        .map(|output| format!("{}{}", output.stdout, output.stderr).trim_end().to_owned())
        .unwrap_or_default()
}
