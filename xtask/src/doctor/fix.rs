//! What can be mended safely, as a plan. `--fix` is the explicit request to do it, with sudo
//! where packages are installed or services started by somebody who is not root.

use std::path::Path;

use anyhow::Result;

use super::Diagnosis;
use super::data::partial_files;
use crate::context::Context;
use crate::docker::endpoint::Endpoint;
use crate::docker::{docker, leftovers};
use crate::host::followed;
use crate::host::user;
use crate::plan::Plan;
use crate::process::{Cmd, find};
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Severity};
use crate::setup;
use crate::stack::Stack;

/// What `setup` mends.
const BY_SETUP: &[&str] = &["env.missing", "env.incomplete", "env.mode", "data.directory"];
/// As long as a slow machine may take to start the engine.
const WAIT_FOR_ENGINE: &str = "for i in $(seq 120); do docker version >/dev/null 2>&1 && exit 0; sleep 0.5; done; docker version";

/// Docker and Compose themselves. Carry it out without a lock: an engine that is started here
/// must not inherit one.
pub fn machine_plan(diagnosis: &Diagnosis) -> Plan {
    let has = |id: &str| diagnosis.errors().any(|finding| finding.id == id);
    let mut plan = Plan::new();
    let system = System::read();
    if let Some(system) = &system {
        let mut packages = Vec::new();
        if has("docker.command") {
            packages.extend(system.docker());
        }
        if has("compose.missing") {
            packages.push(system.compose());
        }
        install(&mut plan, &packages);
    }
    let is_local = !Endpoint::current().is_remote();
    // An engine whose command has just been installed may not run yet.
    if (has("engine.not-running") || has("docker.command")) && system.is_some() && is_local {
        plan.run("start the Docker engine", start_engine());
        plan.run("wait for the Docker engine", Cmd::new("sh").args(["-c", WAIT_FOR_ENGINE]));
    }
    plan
}

/// What a stack lacks: `.env`, directories, and what a killed run left. Carry it out under the
/// project's lock, so that nothing of a run that is still at work is taken for a left-over.
///
/// # Errors
/// When the plan needs an engine that does not answer.
pub fn stack_plan(cx: &Context, stack: &Stack, diagnosis: &Diagnosis) -> Result<Plan> {
    let has = |id: &str| {
        let is_wrong = |finding: &&Finding| finding.severity > Severity::Ok;
        diagnosis.findings().filter(is_wrong).any(|finding| finding.id == id)
    };
    let mut plan = Plan::new();
    if has("run.leftovers") {
        for path in partial_files(stack)? {
            let cmd = Cmd::new("rm").arg("-f").arg(&path);
            plan.run(format!("remove the half-written {}", path.display()), cmd);
        }
        // Under the lock they have gone by now; `--dry-run` shows what would go.
        let containers = leftovers::of(&stack.project()).unwrap_or_default();
        if !containers.is_empty() {
            let cmd = docker().args(["rm", "--force", "--volumes"]).args(&containers);
            plan.run("remove the helper containers of an interrupted run", cmd);
        }
    }
    // It would make an empty directory where a disk is not mounted.
    if BY_SETUP.iter().any(|id| has(id)) && !has("data.gone") {
        plan.append(setup::plan(cx, stack)?);
    }
    Ok(plan)
}

/// Everything that can be mended now, for `--dry-run`.
///
/// # Errors
/// As [`stack_plan`]; without an engine, what needs one is left for later.
pub fn plan(cx: &Context, stacks: &[Stack], diagnosis: &Diagnosis) -> Result<Plan> {
    let mut plan = machine_plan(diagnosis);
    for stack in stacks.iter().filter(|stack| stack.unclear().is_empty()) {
        match stack_plan(cx, stack, diagnosis) {
            Ok(steps) => plan.append(steps),
            Err(_) if !plan.is_empty() => {
                cx.report.progress(format!(
                    "then, once the engine answers: what `{}` does",
                    Xtask::Setup(stack.on())
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(plan)
}

/// Mends what can be mended, Docker first; `--dry-run` prints it instead. Takes each project's
/// lock itself, so the caller must hold none.
///
/// # Errors
/// The first step's that fails.
pub fn mend(cx: &Context, stacks: &[Stack]) -> Result<()> {
    let diagnosis = super::diagnose(cx, stacks)?;
    if cx.dry_run {
        return cx.execute(plan(cx, stacks, &diagnosis)?);
    }
    let machine = machine_plan(&diagnosis);
    let diagnosis = if machine.is_empty() {
        diagnosis
    } else {
        cx.execute(machine)?;
        super::diagnose(cx, stacks)?
    };
    // What is unclear would count as missing; that it is so is reported afterwards.
    for stack in stacks.iter().filter(|stack| stack.unclear().is_empty()) {
        let _lock = cx.lock(stack, "doctor --fix")?;
        cx.remove_leftovers(&stack.project())?;
        cx.execute(stack_plan(cx, stack, &diagnosis)?)?;
    }
    Ok(())
}

/// Mends Docker and Compose, and installs those of `programs` that are missing. The caller must
/// hold no lock.
///
/// # Errors
/// The first step's that fails.
pub fn mend_machine(cx: &Context, programs: &[&str]) -> Result<()> {
    let ids = ["docker.command", "compose.missing", "engine.not-running"];
    let diagnosis = super::diagnose_only(cx, &cx.stacks_whatever_env_says(None)?, &ids)?;
    let mut plan = packages_plan(programs);
    plan.append(machine_plan(&diagnosis));
    if plan.is_empty() { Ok(()) } else { cx.execute(plan) }
}

/// Installs those of `programs` that are missing, from the packages of Debian or Ubuntu; empty
/// elsewhere, and where nothing is missing.
pub fn packages_plan(programs: &[&str]) -> Plan {
    let mut plan = Plan::new();
    if System::read().is_some() {
        let missing = programs.iter().filter(|program| find(program).is_err());
        let packages: Vec<_> =
            missing.flat_map(|program| packages_of(program)).map(str::to_owned).collect();
        install(&mut plan, &packages);
    }
    plan
}

fn packages_of(program: &str) -> Vec<&str> {
    match program {
        "pip" | "pip3" => vec!["python3-pip"],
        // Ubuntu's debootstrap only recommends the keys of Debian.
        "debootstrap" => vec!["debootstrap", "debian-archive-keyring"],
        "chown" => vec!["coreutils"],
        "ps" => vec!["procps"],
        "setpriv" => vec!["util-linux"],
        program => vec![program],
    }
}

fn install(plan: &mut Plan, packages: &[String]) {
    if packages.is_empty() {
        return;
    }
    let apt = |args: &[&str]| {
        as_root("env").args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args)
    };
    plan.run("read the lists of packages", apt(&["update"]));
    let cmd = apt(&["install", "-y", "--no-install-recommends"]).args(packages);
    plan.run(format!("install {}", packages.join(", ")), cmd);
}

fn start_engine() -> Cmd {
    if Path::new("/run/systemd/system").exists() {
        as_root("systemctl").args(["start", "docker"])
    } else {
        as_root("service").args(["docker", "start"])
    }
}

fn as_root(program: &str) -> Cmd {
    if user::is_root() { Cmd::new(program) } else { Cmd::new("sudo").arg(program) }
}

/// A system whose packages we know.
#[derive(Debug, PartialEq, Eq)]
struct System {
    is_ubuntu: bool,
    /// Of Debian or Ubuntu, such as 12 or 22.
    version: u32,
}

impl System {
    fn read() -> Option<Self> {
        Self::parse(&followed::text("/etc/os-release").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\''])
        };
        let (id, like) = (value("ID"), value("ID_LIKE"));
        let is = |name: &str| id == name || like.split_whitespace().any(|word| word == name);
        let version = value("VERSION_ID").split('.').next().unwrap_or_default();
        (is("debian") || is("ubuntu"))
            .then(|| Self { is_ubuntu: is("ubuntu"), version: version.parse().unwrap_or(0) })
    }

    /// The engine, and since Debian 13 its client, which used to come with it.
    fn docker(&self) -> Vec<String> {
        let mut packages = vec!["docker.io".to_owned()];
        if is_offered("docker-cli").unwrap_or(!self.is_ubuntu && self.version >= 13) {
            packages.push("docker-cli".to_owned());
        }
        packages
    }

    /// The plugin where the lists have it, else docker-compose: 1.29.2 in Debian 12.
    fn compose(&self) -> String {
        let known = ["docker-compose-v2", "docker-compose-plugin", "docker-compose"]
            .into_iter()
            .find(|package| is_offered(package) == Some(true));
        let usual = if self.is_ubuntu { "docker-compose-v2" } else { "docker-compose" };
        known.unwrap_or(usual).to_owned()
    }
}

/// Whether apt has a candidate for `package`; `None` where its lists are empty.
fn is_offered(package: &str) -> Option<bool> {
    let ask =
        |name: &str| Cmd::new("apt-cache").args(["policy", name]).env("LC_ALL", "C").read().ok();
    let has = |said: &str| said.contains("Candidate:") && !said.contains("Candidate: (none)");
    if !has(&ask("docker.io")?) {
        return None;
    }
    Some(has(&ask(package)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_ubuntu_and_their_kin_are_known() {
        for (text, expected) in [
            ("ID=debian\nVERSION_ID=\"12\"\n", Some((false, 12))),
            ("NAME=x\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"22.04\"\n", Some((true, 22))),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"21\"\n", Some((true, 21))),
            ("ID=fedora\nVERSION_ID=40\n", None),
            ("", None),
        ] {
            let system = System::parse(text).map(|system| (system.is_ubuntu, system.version));
            assert_eq!(system, expected, "{text}");
        }
    }
}
