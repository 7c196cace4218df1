//! Is this machine fit for the stacks, and if not, what mends it?
//!
//! Every check is an entry of `CHECKS`. All run side by side; facts that several need are asked
//! once (`facts::Facts`). A new check is a function and a line in the table.

mod data;
mod directories;
mod disk;
pub mod env_check;
mod env_file;
mod exposure;
mod facts;
pub mod fix;
mod images;
mod logs;
mod machine;
mod ports;
mod postgres;
mod quota;
mod secrets;
mod services;
pub mod suite;
mod values;

use std::any::Any;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Result, anyhow};

use self::facts::{Facts, NoEngine};
use crate::alerts;
use crate::context::Context;
use crate::data::Absence;
use crate::process::check_interrupted;
use crate::report::finding::{Finding, Problem, Severity};
use crate::stack::Stack;

/// One check: the ids of what it may find, the first of which names the check itself.
struct Check {
    ids: &'static [&'static str],
    run: Run,
}

/// What a check looks at.
#[derive(Clone, Copy)]
enum Run {
    /// The machine, or all stacks together.
    Machine(fn(&Facts<'_>) -> Result<Vec<Finding>>),
    /// Each stack for itself.
    Stack(fn(&Facts<'_>, &Stack) -> Result<Vec<Finding>>),
}

const fn machine(
    ids: &'static [&'static str],
    run: fn(&Facts<'_>) -> Result<Vec<Finding>>,
) -> Check {
    Check { ids, run: Run::Machine(run) }
}

const fn stack(
    ids: &'static [&'static str],
    run: fn(&Facts<'_>, &Stack) -> Result<Vec<Finding>>,
) -> Check {
    Check { ids, run: Run::Stack(run) }
}

/// Every check, in the order in which findings are reported.
const CHECKS: &[Check] = &[
    machine(&["docker.command"], machine::docker_command),
    machine(
        &[
            "engine.reachable",
            "engine.not-running",
            "engine.permission",
            "engine.unreachable",
            "engine.context",
        ],
        machine::engine_reachable,
    ),
    machine(&["engine.version"], machine::engine_version),
    machine(
        &["engine.place", "engine.remote", "engine.rootless", "engine.desktop"],
        machine::place,
    ),
    machine(&["compose.found", "compose.missing", "compose.version"], machine::compose_found),
    machine(&["engine.memory"], machine::memory),
    machine(&["disk.docker", "disk.full", "disk.read-only"], disk::of_docker),
    machine(&["kernel.overcommit"], machine::overcommit),
    machine(&["kernel.huge-pages"], machine::huge_pages),
    machine(&["port.twice"], ports::twice),
    machine(&["network.shared"], machine::network_shared),
    stack(&["compose.flavour", "compose.other-flavour"], machine::compose_flavour),
    stack(&["env.missing"], env_file::missing),
    stack(&["env.incomplete"], env_file::incomplete),
    stack(&["env.weak-secret", "env.secret-shared"], secrets::weak_secrets),
    stack(&["env.ambiguous"], env_file::ambiguous),
    stack(&["env.duplicate"], env_file::duplicate),
    stack(&["env.unknown", MISSPELT], env_file::unknown),
    stack(&["env.mode"], env_file::mode),
    stack(&["env.empty"], values::empty),
    stack(&["env.value"], values::allowed),
    stack(&["env.memory-pair"], env_file::memory_pairs),
    stack(&["env.overridden"], env_file::overridden),
    stack(&["env.diverts"], exposure::diverting),
    stack(&["compose.override", "compose.other-file"], exposure::files),
    stack(&["port.open", "port.address"], exposure::addresses),
    stack(&["port.in-use", "port.invalid"], ports::in_use),
    stack(&["disk.data", "disk.full", "disk.read-only", "disk.size"], disk::of_data),
    stack(&["project.other-clone"], data::other_clone),
    stack(&["env.data-dir"], directories::place),
    stack(&["data.directory", "data.foreign", "data.link", "data.owner"], directories::owners),
    stack(&["data.in-use", "data.record"], data::in_use),
    stack(&["data.gone"], data::gone),
    stack(&["data.moved"], data::moved),
    stack(&["data.other-kind"], data::other_kind),
    stack(&["data.version", "data.half-initialised"], postgres::data),
    stack(&["data.quota"], quota::quotas),
    stack(
        &[
            "service.state",
            "service.ended",
            "service.restarts",
            "service.unhealthy",
            "service.outdated",
        ],
        services::state,
    ),
    stack(&["data.credentials"], data::credentials),
    stack(&["images.present"], images::present),
    stack(&["images.offline"], images::offline),
    stack(alerts::IDS, notifications),
    machine(&["schedule.off"], machine::schedule_off),
    stack(&["logs.unbounded", "logs.unreadable"], logs::bounded),
    stack(&["logs.inside"], logs::inside),
    stack(&["run.leftovers"], data::leftovers),
];

/// What nobody may set up, start or purge over.
const BEFORE_CHANGE: &[&str] = &[
    "project.other-clone",
    "env.data-dir",
    "data.foreign",
    "data.in-use",
    "data.link",
    "data.record",
    "data.moved",
    "data.owner",
];

/// What `setup` does not mend.
const BEFORE_SETUP: &[&str] =
    &["data.gone", "disk.full", "disk.read-only", "env.weak-secret", "env.ambiguous"];

/// What stops nobody, and is said before a stack is set up or started: the value that was meant does not
/// count.
const MISSPELT: &str = "env.misspelt";

/// What keeps a stack from starting, although `setup` does its part and `up` looks for the engine
/// and Compose itself. Broken notifications do too.
const BEFORE_UP: &[&str] = &[
    "data.gone",
    "engine.version",
    "disk.full",
    "disk.read-only",
    "disk.size",
    "port.twice",
    "port.in-use",
    "port.address",
    "port.invalid",
    "env.weak-secret",
    "env.ambiguous",
    "env.value",
    "env.memory-pair",
    "data.other-kind",
    "data.version",
    "data.half-initialised",
    "env.diverts",
    "compose.other-file",
];

/// What `up` says before it starts a stack nevertheless.
const SAID_BEFORE_UP: &[&str] = &["port.open", "env.diverts", MISSPELT];

/// What the checks found.
#[derive(Debug)]
pub struct Diagnosis {
    machine: Vec<Finding>,
    stacks: Vec<Vec<Finding>>,
}

impl Diagnosis {
    /// Adds what was found beyond the table, of the machine.
    pub fn add(&mut self, findings: Vec<Finding>) {
        self.machine.extend(findings);
    }

    /// Every finding, the machine's first, in the order of the table.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.machine.iter().chain(self.stacks.iter().flatten())
    }

    /// The findings that say what does not work.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings().filter(|finding| is_error(finding))
    }

    /// How many findings have `severity`.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings().filter(|finding| finding.severity == severity).count()
    }

    /// Whether nothing keeps the stacks from working. Where the user `named` none, what only some
    /// of them lack is reported and fails nothing.
    pub fn is_fit(&self, named: bool) -> bool {
        let lacking = self.stacks.iter().filter(|findings| findings.iter().any(is_error)).count();
        let enough = if named { 1 } else { self.stacks.len().max(1) };
        !self.machine.iter().any(is_error) && lacking < enough
    }
}

fn notifications(_: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    alerts::findings(stack)
}

fn is_error(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}

/// Runs every check.
///
/// # Errors
/// When the user interrupts; whatever else fails is a finding.
pub fn diagnose(cx: &Context, stacks: &[Stack]) -> Result<Diagnosis> {
    examine(cx, stacks, &|_| true)
}

/// What is going to be done with a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Make what it needs.
    Setup,
    /// Start it.
    Up(Absence),
    /// Remove its data.
    Purge,
}

/// Fails with what stands against it, before anything is changed.
///
/// # Errors
/// A prerequisite problem with the id of the first finding that is an error.
pub fn refuse_unfit(cx: &Context, stack: &Stack, intent: Intent) -> Result<()> {
    let mut ids = match intent {
        Intent::Setup => [BEFORE_CHANGE, BEFORE_SETUP, SAID_BEFORE_UP].concat(),
        Intent::Up(_) => [BEFORE_CHANGE, BEFORE_UP, SAID_BEFORE_UP, alerts::IDS].concat(),
        Intent::Purge => BEFORE_CHANGE.to_vec(),
    };
    if intent == Intent::Up(Absence::Accepted) {
        ids.retain(|id| *id != "data.gone");
    }
    let diagnosis = diagnose_only(cx, std::slice::from_ref(stack), &ids)?;
    let errors: Vec<_> = diagnosis.errors().collect();
    match errors.as_slice() {
        [] => {
            let is_said = |finding: &&Finding| {
                finding.severity == Severity::Warning && SAID_BEFORE_UP.contains(&finding.id)
            };
            diagnosis.findings().filter(is_said).for_each(|finding| cx.report.finding(finding));
            Ok(())
        }
        [error] => Err(Problem::from(*error).into()),
        [first, ..] => {
            errors.iter().for_each(|error| cx.report.finding(error));
            let found = format!("{} things stand against it", errors.len());
            Err(Problem::prerequisite(first.id, found).mend("follow the arrows above").into())
        }
    }
}

/// Runs the checks that may find one of `ids` and keeps those findings.
///
/// # Errors
/// As [`diagnose`].
pub fn diagnose_only(cx: &Context, stacks: &[Stack], ids: &[&str]) -> Result<Diagnosis> {
    let mut diagnosis = examine(cx, stacks, &|check| check.ids.iter().any(|id| ids.contains(id)))?;
    let groups = std::iter::once(&mut diagnosis.machine).chain(&mut diagnosis.stacks);
    groups.for_each(|group| group.retain(|finding| ids.contains(&finding.id)));
    Ok(diagnosis)
}

fn examine(cx: &Context, stacks: &[Stack], wanted: &dyn Fn(&Check) -> bool) -> Result<Diagnosis> {
    let facts = Facts::new(cx, stacks);
    let checks: Vec<_> = CHECKS.iter().filter(|check| wanted(check)).collect();
    let diagnosis = thread::scope(|scope| {
        let facts = &facts;
        let mut of_machine = Vec::new();
        let mut of_stacks: Vec<Vec<_>> = stacks.iter().map(|_| Vec::new()).collect();
        for check in checks {
            let id = check.ids.first().copied().unwrap_or_default();
            match check.run {
                Run::Machine(run) => of_machine.push((id, scope.spawn(move || run(facts)))),
                Run::Stack(run) => {
                    for (started, stack) in of_stacks.iter_mut().zip(stacks) {
                        started.push((id, scope.spawn(move || run(facts, stack))));
                    }
                }
            }
        }
        Diagnosis {
            machine: collect(of_machine),
            stacks: of_stacks.into_iter().map(collect).collect(),
        }
    });
    check_interrupted()?;
    Ok(diagnosis)
}

type Started<'scope> = (&'static str, ScopedJoinHandle<'scope, Result<Vec<Finding>>>);

/// Waits for the checks; one that failed or panicked is a finding itself.
fn collect(started: Vec<Started<'_>>) -> Vec<Finding> {
    let finish = |(id, check): Started<'_>| {
        check.join().unwrap_or_else(|panic| Err(panicked(&*panic))).unwrap_or_else(|error| {
            // `engine.reachable` has said it already.
            if error.is::<NoEngine>() { Vec::new() } else { vec![Finding::of_error(id, &error)] }
        })
    };
    started.into_iter().flat_map(finish).collect()
}

fn panicked(panic: &(dyn Any + Send)) -> anyhow::Error {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
    anyhow!("the check itself is broken: {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_well_formed_and_up_waits_for_ids_that_exist() {
        let known: Vec<_> = CHECKS.iter().flat_map(|check| check.ids).copied().collect();
        for id in &known {
            assert!(
                id.contains('.')
                    && id.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '-'),
                "{id}"
            );
        }
        for id in [BEFORE_CHANGE, BEFORE_SETUP, BEFORE_UP, SAID_BEFORE_UP].concat() {
            assert!(known.contains(&id), "{id}");
        }
    }

    #[test]
    fn what_one_of_two_stacks_lacks_fails_only_who_named_it() {
        let fine = vec![Finding::ok("a.b", "")];
        let bad = vec![Finding::error("a.b", "")];
        let both = Diagnosis { machine: fine.clone(), stacks: vec![fine.clone(), bad.clone()] };
        assert!(both.is_fit(false) && !both.is_fit(true));
        let machine = Diagnosis { machine: bad.clone(), stacks: vec![fine] };
        assert!(!machine.is_fit(false));
        let one = Diagnosis { machine: Vec::new(), stacks: vec![bad] };
        assert!(!one.is_fit(false));
    }

    #[test]
    fn a_check_that_panics_is_a_finding() {
        let found = thread::scope(|scope| {
            collect(vec![
                ("a.panic", scope.spawn(|| panic!("on purpose"))),
                ("a.error", scope.spawn(|| Err(anyhow!("inner").context("asking")))),
                ("a.silent", scope.spawn(|| Err(NoEngine.into()))),
            ])
        });
        let found: Vec<_> =
            found.iter().map(|finding| (finding.id, finding.found.as_str())).collect();
        let expected =
            [("a.panic", "the check itself is broken: on purpose"), ("a.error", "asking: inner")];
        assert_eq!(found, expected);
    }
}
