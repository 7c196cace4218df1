//! Waiting until every endpoint of a stack answers, and saying why one does not.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{ask, outdated_ports, paused};
use crate::client::Unanswered;
use crate::context::Context;
use crate::docker::container::Container;
use crate::docker::docker;
use crate::process::check_interrupted;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::report::live::Live;
use crate::report::units::duration;
use crate::setup::{origin, recovered};
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
    /// `None` for a service that only its health check can ask.
    endpoint: Option<&'a Endpoint>,
    last: String,
}

impl<'a> Pending<'a> {
    /// What is to be asked of `service`.
    fn of(service: &'a Service) -> Vec<Self> {
        let question = |endpoint| Self { service, endpoint, last: "not asked yet".to_owned() };
        if service.endpoints.is_empty() {
            return vec![question(None)];
        }
        service.endpoints.iter().map(Some).map(question).collect()
    }

    fn ask(&self, stack: &Stack, containers: &[Container]) -> Result<(), Unanswered> {
        match self.endpoint {
            Some(endpoint) => ask(stack, self.service, endpoint),
            None => ask_inside(self.service, containers),
        }
    }

    fn done(&self) -> String {
        let what = self.endpoint.map(|endpoint| format!("{} ", endpoint.name));
        format!("{}: {}answers", self.service.name, what.unwrap_or_default())
    }
}

/// Asks what the container's health check asks, which comes round too seldom to wait for.
fn ask_inside(service: &Service, containers: &[Container]) -> Result<(), Unanswered> {
    let container = containers.iter().find(|container| container.service() == Some(&service.name));
    let Some(container) = container else {
        return Err(Unanswered::NotYet("it has no container".to_owned()));
    };
    let answer = container.health_question().map(|question| question.output());
    match answer {
        None => Ok(()),
        Some(Ok(output)) if output.success() => Ok(()),
        Some(Ok(_)) => Err(Unanswered::NotYet("its health check fails".to_owned())),
        Some(Err(error)) => Err(Unanswered::NotYet(format!("{error:#}"))),
    }
}

/// Waits until every endpoint of `services` has answered, and those that have none are healthy.
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
    let containers = cx.containers(stack)?;
    // What answers on the port of `.env` may be another's.
    for service in services {
        let its = containers.iter().find(|container| container.service() == Some(&service.name));
        if let Some(problem) = its.and_then(|container| unreachable(stack, service, container)) {
            return Err(problem.into());
        }
    }
    let mut pending: Vec<_> = services.iter().flat_map(|service| Pending::of(service)).collect();
    let mut live = Live::new(&cx.report);
    let mut looked = start;
    loop {
        pending = ask_all(cx, stack, &containers, pending, start, &mut live)?;
        let Some(slowest) = pending.first() else { return Ok(()) };
        let waited = start.elapsed();
        let (name, last) = (&slowest.service.name, &slowest.last);
        live.show(&format!("waiting for {name}: {last} ({})", duration(waited)));
        if looked.elapsed() > LOOK || waited > limit {
            looked = Instant::now();
            let late = (waited > limit).then_some(waited);
            if let Some(problem) = given_up(stack, &cx.containers(stack)?, &pending, late) {
                live.clear();
                return Err(problem.into());
            }
        }
        std::thread::sleep(ROUND);
    }
}

/// Asks each question once and returns those without an answer yet.
fn ask_all<'a>(
    cx: &Context,
    stack: &Stack,
    containers: &[Container],
    pending: Vec<Pending<'a>>,
    start: Instant,
    live: &mut Live,
) -> Result<Vec<Pending<'a>>> {
    let mut left = Vec::new();
    for mut question in pending {
        check_interrupted()?;
        match question.ask(stack, containers) {
            Ok(()) => {
                live.clear();
                let time = duration(start.elapsed());
                cx.report.done(format!("{} ({time})", question.done()));
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
    Ok(left)
}

/// Why to wait no longer: a container that will not come up, or the time is over after `late`.
fn given_up(
    stack: &Stack,
    containers: &[Container],
    pending: &[Pending<'_>],
    late: Option<Duration>,
) -> Option<Problem> {
    pending.iter().find_map(|Pending { service, last, .. }| {
        let container = containers.iter().find(|one| one.service() == Some(&service.name));
        let Some(container) = container else {
            return Some(failed(stack, service, None, "has no container"));
        };
        if let Some(problem) = unreachable(stack, service, container) {
            return Some(problem);
        }
        let too_late = |late| format!("does not answer after {}: {last}", duration(late));
        let why = hopeless(container).or_else(|| late.map(too_late))?;
        let mut problem = failed(stack, service, Some(container), &why);
        let others = recovered::differing(stack, container);
        if !others.is_empty() {
            problem.message = format!(
                "{}\nIts container was made with a different {} from that in {}",
                problem.message,
                others.join(", "),
                stack.env_file()
            );
            problem.mend = Advice::from(Xtask::Up(stack.on())).and(problem.mend);
        }
        Some(problem)
    })
}

/// What the engine knows to keep everybody from the service, whatever it does.
fn unreachable(stack: &Stack, service: &Service, container: &Container) -> Option<Problem> {
    if let Some(problem) = paused(container) {
        return Some(problem);
    }
    let name = &service.name;
    let (runs, wanted) = outdated_ports(stack, container, name)?;
    let found = format!(
        "{name} is on port {runs}, and {} says {wanted}: its container was made before",
        stack.env_file()
    );
    Some(Problem::failed("service.outdated", found).mend(Xtask::Up(stack.on())))
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
    let name = &service.name;
    let file = stack.env.path().display();
    let found = format!("{name} answers, but refuses the credentials of {file}: {why}");
    let problem = Problem::failed("credentials.refused", found);
    match service.set_password {
        Some(_) => problem.mend(other_credentials(stack, service)),
        None => problem.mend(format!("it still runs with older values: {}", Xtask::Up(stack.on()))),
    }
}

/// It took them when the directory was first filled, unless that was cut off.
fn other_credentials(stack: &Stack, service: &Service) -> Advice {
    let file = stack.env.path().display();
    let set_password = Xtask::SetPassword(stack.on(), service.name.clone());
    let advice = Advice::from(format!(
        "put back into {file} the user, password and database that its data was made with"
    ))
    .or(format!("set the password of {file} in the data: {set_password}"));
    if origin::has_answered(stack, service) {
        return advice;
    }
    let anew = origin::start_anew(stack, service);
    advice
        .or(format!("if its first start was cut off, as no server has answered on it yet: {anew}"))
}

fn failed(stack: &Stack, service: &Service, container: Option<&Container>, why: &str) -> Problem {
    let mut message = format!("{} {why}", service.name);
    let log = container.map(|container| last_lines(&container.id)).unwrap_or_default();
    if !log.is_empty() {
        let quoted: Vec<_> = log.lines().map(|line| format!("  | {line}")).collect();
        message = format!("{message}. Its last lines:\n{}", quoted.join("\n"));
    }
    let known = service.explanations.iter().find(|known| known.applies(&log));
    let problem = |message| Problem::failed("service.not-ready", message);
    match known {
        Some(known) => {
            problem(format!("{message}\nThat means: {}", known.means)).mend(known.mend(&stack.on()))
        }
        None => problem(message).mend(Xtask::Logs(stack.on(), service.name.clone())),
    }
}

fn last_lines(id: &str) -> String {
    let output = docker().args(["logs", "--tail", LOG_LINES, id]).output();
    output
        .map(|output| format!("{}{}", output.stdout, output.stderr).trim_end().to_owned())
        .unwrap_or_default()
}
