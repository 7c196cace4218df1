//! Disk: enough for what is to come, and nowhere full.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::facts::Facts;
use crate::docker::helper::Helper;
use crate::host::disk::{self, Space};
use crate::report::finding::Finding;
use crate::report::units::Bytes;
use crate::setup::directories::of_services;
use crate::stack::Stack;

/// With less than this part of the required space to come, servers stop rather than slow down.
const FULL: u64 = 10;
/// With less than this part of it free, whatever they have already.
const BRIM: u64 = 100;

pub(super) fn of_docker(facts: &Facts<'_>) -> Result<Vec<Finding>> {
    let root = &facts.engine()?.docker_root_dir;
    if !facts.engine_place().shares_machine() || root.is_empty() {
        let found = "how much disk the engine has is unknown: it is not this machine's";
        return Ok(vec![Finding::ok("disk.docker", found)]);
    }
    let space = disk::space(Path::new(root))?;
    let wanted: Vec<_> =
        facts.stacks.iter().flat_map(|stack| stack.images().into_values()).collect();
    // Images take most of the space, and are there already.
    let is_new = !wanted.iter().all(|image| facts.images().is_ok_and(|all| all.contains(image)));
    let mend = "docker system df; docker image prune";
    Ok(vec![judge_disk(
        "disk.docker",
        "Docker",
        &space,
        0,
        facts.requirements().disk,
        is_new,
        mend,
    )])
}

/// The disks that the stack's data lies on: the roomiest must take what it needs, and none may be
/// full.
pub(super) fn of_data(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if !facts.engine_place().shares_machine() {
        let found = "how much disk the data directory has is unknown: it is the engine's";
        return Ok(vec![Finding::ok("disk.data", found).about(stack.name())]);
    }
    let file = facts.shown(stack.env.path());
    let required = match stack.definition.disk.required(&|name| stack.env.get(name)) {
        Ok(required) => required,
        Err(why) => {
            let finding = Finding::error("disk.size", why).mend(format!("correct it in {file}"));
            return Ok(vec![finding.about(stack.name())]);
        }
    };
    let mend = format!("make room, or choose another directory: DATA_DIR in {file}");
    let mut findings = Vec::new();
    for (index, space) in disks(stack)?.iter().enumerate() {
        let what = format!("data in {}", space.at.display());
        // What its own data takes already need not be free once more.
        let used = if space.available < required.0 { used(facts, stack)? } else { 0 };
        let is_new = !space.at.starts_with(stack.data_dir());
        let finding = judge_disk("disk.data", &what, space, used, required, is_new, &mend);
        if index == 0 || ["disk.full", "disk.read-only"].contains(&finding.id) {
            findings.push(finding.about(stack.name()));
        }
    }
    Ok(findings)
}

/// Each disk once, the roomiest first.
fn disks(stack: &Stack) -> Result<Vec<Space>> {
    let paths = of_services(stack).map(|directory| stack.data_path(directory));
    let mut disks: Vec<Space> = Vec::new();
    for path in paths.chain([stack.data_dir()]) {
        let space = disk::space(&path)?;
        if disks.iter().all(|known| known.device != space.device) {
            disks.push(space);
        }
    }
    disks.sort_by_key(|space| std::cmp::Reverse(space.available));
    Ok(disks)
}

/// What the stack's data takes, in bytes; counted in a container where only root may look, and
/// taken for nothing where there is no image for one.
fn used(facts: &Facts<'_>, stack: &Stack) -> Result<u64> {
    let names: Vec<_> = of_services(stack).map(|directory| directory.path.as_str()).collect();
    let sum = names.iter().map(|name| disk::used(&stack.data_dir().join(name))).sum();
    let denied = match sum {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    if denied.kind() != ErrorKind::PermissionDenied || !facts.images()?.contains(&image) {
        return Ok(0);
    }
    // Asked before our own helper could be taken for a left-over.
    facts.containers()?;
    let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
    let script = r#"cd /data; for name; do [ ! -d "$name" ] || du -sk "$name"; done"#;
    let arguments: Vec<_> = names.into_iter().map(str::to_owned).collect();
    let said = helper.cmd(script, &arguments).read().context("counting the data as root")?;
    let kilobytes = |line: &str| line.split_whitespace().next()?.parse::<u64>().ok();
    Ok(said.lines().filter_map(kilobytes).sum::<u64>() * 1024)
}

/// Less than required keeps nobody from starting again what has run before; a full disk does.
fn judge_disk(
    id: &'static str,
    what: &str,
    space: &Space,
    used: u64,
    required: Bytes,
    is_new: bool,
    mend: &str,
) -> Finding {
    let free = Bytes(space.available);
    let has = Bytes(free.0.saturating_add(used));
    let found = match used {
        0 => format!("{free} free for {what}"),
        used => format!("{free} free for {what}, which takes {} already", Bytes(used)),
    };
    if space.read_only {
        return Finding::error(
            "disk.read-only",
            format!("the disk for {what} is read-only (at {})", space.at.display()),
        )
        .mend(format!("mount it writable: sudo mount -o remount,rw …; {mend}"));
    }
    let finding = if free.0 < required.0 / BRIM || has.0 < required.0 / FULL {
        Finding::error("disk.full", format!("only {found}"))
    } else if has >= required {
        return Finding::ok(id, found);
    } else if is_new {
        Finding::error(id, format!("only {found}"))
    } else {
        Finding::warning(id, format!("only {found}"))
    };
    finding.needs(required.to_string()).mend(mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Severity::{Error, Ok as Fine, Warning};

    #[test]
    fn a_disk_that_is_short_stops_newcomers_and_a_full_one_everybody() {
        let judge_with = |used: u64, available: u64, read_only, is_new| {
            let available = available << 20;
            let space = Space { at: "/".into(), device: 0, available, read_only };
            let required = Bytes(10 << 30);
            let finding =
                judge_disk("disk.data", "x", &space, used << 20, required, is_new, "mend");
            (finding.id, finding.severity)
        };
        let judge = |available, read_only, is_new| judge_with(0, available, read_only, is_new);
        assert_eq!(judge_with(9_500, 1_000, false, false), ("disk.data", Fine));
        assert_eq!(judge_with(5_000, 1_000, false, false), ("disk.data", Warning));
        assert_eq!(judge_with(20_000, 50, false, false), ("disk.full", Error));
        assert_eq!(judge(20_000, false, true), ("disk.data", Fine));
        assert_eq!(judge(5_000, false, true), ("disk.data", Error));
        assert_eq!(judge(5_000, false, false), ("disk.data", Warning));
        assert_eq!(judge(500, false, false), ("disk.full", Error));
        assert_eq!(judge(20_000, true, false), ("disk.read-only", Error));
    }
}
