//! The machine: Docker, Compose, memory, networks, kernel.

use std::collections::BTreeSet;

use anyhow::Result;

use super::facts::Facts;
use crate::docker::compose::Compose;
use crate::docker::endpoint::Endpoint;
use crate::docker::engine;
use crate::docker::location::Location;
use crate::host::memory;
use crate::metrics::wanted;
use crate::report::advice::Xtask;
use crate::report::finding::Finding;
use crate::report::units::Bytes;
use crate::stack::Stack;

/// A machine sold as 4 GB reports 3.7 to 3.9: firmware and kernel keep the rest.
const MEMORY_TOLERANCE: f64 = 0.9;
pub(super) fn docker_command(_: &Facts<'_>) -> Result<Vec<Finding>> {
    let path = engine::command()?;
    Ok(vec![Finding::ok("docker.command", format!("docker is {}", path.display()))])
}

pub(super) fn engine_reachable(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    if engine::command().is_err() {
        return Ok(Vec::new());
    }
    let finding = match facts.engine_or_why() {
        Ok(_) => {
            let found = format!("a Docker engine answers at {}", Endpoint::current());
            Finding::ok("engine.reachable", found)
        }
        Err(error) => Finding::of_error("engine.reachable", error),
    };
    Ok(vec![finding])
}

pub(super) fn engine_version(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let engine = facts.engine()?;
    let oldest = &facts.requirements().engine;
    let found = format!("Docker Engine {}", engine.server_version);
    Ok(vec![if engine.version()? >= *oldest {
        Finding::ok("engine.version", found)
    } else {
        Finding::error("engine.version", format!("{found} is too old"))
            .needs(format!("{oldest} or later"))
            .mend("upgrade it: docs.docker.com/engine/install")
    }])
}

/// Where the engine is, if that means something for files and ports.
pub(super) fn place(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let engine = facts.engine()?;
    let finding = match facts.engine_place() {
        Location::Here => return Ok(Vec::new()),
        Location::Remote => Finding::warning("engine.remote", format!("the engine at {} is on another machine: data directories and published ports are there, and are not looked at here; files of this repository that services read have to lie there too, at the same path", Endpoint::current()))
            .mend("to use the local engine: unset DOCKER_HOST; docker context use default"),
        Location::Rootless => Finding::warning("engine.rootless", "the engine runs without root: the servers' user ids are others on this machine, so owners are not looked at; ports below 1024 and memory limits may not work")
            .mend("see docs.docker.com/engine/security/rootless for its limits"),
        Location::Virtual => Finding::ok("engine.desktop", format!("{}: containers run in a virtual machine, so owners, disk and kernel settings are not looked at here; the data directory must be one that it shares, such as one in the home folder", engine.operating_system)),
    };
    Ok(vec![finding])
}

pub(super) fn compose_found(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let found = facts.composes();
    Compose::choose(found, &[], &facts.requirements().compose)?;
    let all: Vec<_> = found.iter().map(ToString::to_string).collect();
    Ok(vec![Finding::ok("compose.found", all.join(" and "))])
}

/// Which Compose is used, and why.
pub(super) fn compose_flavour(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let (found, oldest) = (facts.composes(), &facts.requirements().compose);
    let Ok(preferred) = Compose::choose(found, &[], oldest) else {
        return Ok(Vec::new());
    };
    let containers = facts.containers_of(stack)?;
    let chosen = match Compose::choose(found, &containers, oldest) {
        Ok(chosen) => chosen,
        Err(error) => {
            return Ok(vec![Finding::of_error("compose.flavour", &error).about(stack.name())]);
        }
    };
    let why = if chosen != preferred {
        ", since it made the containers that are there; `down` frees the choice"
    } else if found.len() > 1 {
        ", the preferred one"
    } else {
        ""
    };
    Ok(vec![Finding::ok("compose.flavour", format!("{chosen} is used{why}")).about(stack.name())])
}

pub(super) fn memory(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let engine = facts.engine()?;
    Ok(vec![judge_memory(engine.mem_total, facts.requirements().memory)])
}

fn judge_memory(total: u64, required: Bytes) -> Finding {
    let found = format!("the engine has {} of memory", Bytes(total));
    if total == 0 {
        Finding::ok("engine.memory", "how much memory the engine has is unknown")
    } else if total as f64 >= required.0 as f64 * MEMORY_TOLERANCE {
        Finding::ok("engine.memory", found)
    } else {
        Finding::error("engine.memory", found)
            .needs(required.to_string())
            .mend("give it more (Docker Desktop: Settings, Resources), or run fewer services")
    }
}

/// Stacks that name different networks never meet.
pub(super) fn network_shared(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let set_up: Vec<_> = facts.stacks.iter().filter(|stack| stack.env.text().is_some()).collect();
    let [first, rest @ ..] = set_up.as_slice() else { return Ok(Vec::new()) };
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let (id, network) = ("network.shared", first.network()?);
    for stack in rest {
        let other = stack.network()?;
        if other != network {
            let found = format!(
                "{} is on the network {network}, {} on {other}: neither sees the other",
                first.name(),
                stack.name()
            );
            let variable = &stack.definition.network;
            let mend = format!("nothing, if it is meant so; else {variable}={network}");
            let finding = Finding::warning(id, found).mend(mend);
            return Ok(vec![facts.place(stack, variable, finding)]);
        }
    }
    Ok(vec![Finding::ok(id, format!("the stacks share the network {network}"))])
}

pub(super) fn overcommit(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let setting = facts.engine_place().shares_machine().then(memory::overcommits).flatten();
    let id = "kernel.overcommit";
    Ok(vec![match setting {
        Some(true) => Finding::ok(id, "vm.overcommit_memory is 1"),
        None => Finding::ok(id, "vm.overcommit_memory is unknown"),
        Some(false) => Finding::warning(
            id,
            "vm.overcommit_memory is not 1: a background save of Redis fails when memory is short",
        )
        .mend("sudo sysctl vm.overcommit_memory=1; to keep it: echo vm.overcommit_memory=1 | sudo tee /etc/sysctl.d/90-redis.conf"),
    }])
}

pub(super) fn huge_pages(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let setting = facts.engine_place().shares_machine().then(memory::always_huge_pages).flatten();
    let id = "kernel.huge-pages";
    Ok(vec![match setting {
        Some(false) => Finding::ok(id, "transparent huge pages are not always on"),
        None => Finding::ok(id, "whether transparent huge pages are on is unknown"),
        Some(true) => Finding::warning(
            id,
            "transparent huge pages are always on: Redis answers late and takes more memory",
        )
        .mend("echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"),
    }])
}

/// What is off by choice is said, since nobody is paged about it.
pub(super) fn schedule_off(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let data_dirs: BTreeSet<_> = facts.stacks.iter().map(Stack::data_dir).collect();
    let mut findings = Vec::new();
    for data_dir in data_dirs {
        if wanted::schedule(&data_dir)? == Some(false) {
            let found = format!(
                "off by choice: backups, log rotation and metrics do not run by themselves, and nobody is paged about that; {} has them run",
                Xtask::ScheduleInstall
            );
            findings.push(Finding::ok("schedule.off", found));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Severity::{Error, Ok as Fine};

    #[test]
    fn a_machine_sold_as_4_gb_passes() {
        let required = Bytes(4 << 30);
        assert_eq!(judge_memory((37 << 30) / 10, required).severity, Fine);
        assert_eq!(judge_memory(3 << 30, required).severity, Error);
        assert_eq!(judge_memory(0, required).severity, Fine);
    }
}
