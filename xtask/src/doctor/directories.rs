//! Data directories: where they may lie, their owners and modes. What another program made is
//! never taken for ours.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::facts::Facts;
use crate::docker::location::Location;
use crate::host::disk::nearest_existing;
use crate::host::user::{self, Owner};
use crate::process::quote;
use crate::report::advice::{Advice, On, Xtask};
use crate::report::finding::Finding;
use crate::setup::directories::wanted;
use crate::setup::generated;
use crate::setup::inspect::{Found, inspect, is_empty};
use crate::stack::manifest::DataDirectory;
use crate::stack::{DATA_BELOW_HOME, Stack};

/// Folders of the system, in which and below which nothing of ours may lie.
const SYSTEM: [&str; 10] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"];
/// Folders that many programs share: below them, but not directly in them.
const SHARED: [&str; 8] = ["/", "/home", "/opt", "/root", "/run", "/tmp", "/var", "/var/lib"];

/// Whether `DATA_DIR` is a place for data.
pub(super) fn place(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let id = "env.data-dir";
    let value = stack.env.get("DATA_DIR").unwrap_or_default();
    let finding = match unfit(Path::new(&value)) {
        None if is_out_of_reach(facts, stack) => {
            let found = format!(
                "DATA_DIR is `{value}`, where you may not write, and an engine without root may no more than you"
            );
            let home = user::home().unwrap_or_default().join(DATA_BELOW_HOME);
            facts.place(stack, "DATA_DIR", Finding::error(id, found)).mend(match stack.env.text() {
                Some(_) => format!(
                    "in {}: DATA_DIR={}",
                    facts.shown(stack.env.path()),
                    quote(&home.to_string_lossy())
                ),
                None => Xtask::Up(On::new(stack.short(), None, Some(&home))).to_string(),
            })
        }
        None => Finding::ok(id, format!("data lies in {value}")).about(stack.name()),
        Some(why) => {
            let finding = Finding::error(id, format!("DATA_DIR is `{value}`, {why}"))
                .needs("an absolute path to a directory for these stacks alone")
                .mend(format!("in {}: DATA_DIR=/data", facts.shown(stack.env.path())));
            facts.place(stack, "DATA_DIR", finding)
        }
    };
    Ok(vec![finding])
}

/// Where no engine of root makes directories for us, we must be able to.
fn is_out_of_reach(facts: &Facts<'_>, stack: &Stack) -> bool {
    let is_ours_to_make = matches!(facts.engine_place(), Location::Rootless | Location::Virtual);
    is_ours_to_make && !user::may_write(nearest_existing(&stack.data_dir()))
}

fn unfit(path: &Path) -> Option<&'static str> {
    if !path.is_absolute() {
        return Some(
            "which is not an absolute path: the Composes and xtask would look in different places",
        );
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Some("which goes up again with `..`");
    }
    // Without a slash at its end, and with links resolved where it is there.
    let path: PathBuf = path.canonicalize().unwrap_or_else(|_| path.components().collect());
    let is_system = SYSTEM.iter().any(|folder| path.starts_with(folder));
    let is_shared = SHARED.iter().any(|folder| path == Path::new(folder));
    (is_system || is_shared).then_some("which belongs to the system")
}

/// Owners and modes of the directories that are there.
pub(super) fn owners(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let id = "data.directory";
    let below = stack.data_dir();
    if !facts.engine_place().shares_owners() {
        let found = format!(
            "whose the directories in {} are is not looked at: the engine sees other owners than this machine",
            below.display()
        );
        return Ok(vec![Finding::ok(id, found).about(stack.name())]);
    }
    let (mut missing, mut findings) = (Vec::new(), Vec::new());
    let wanted = wanted(stack);
    for directory in &wanted {
        let path = stack.data_path(directory);
        match inspect(&path)? {
            Found::Nothing => missing.push(directory.path.as_str()),
            Found::Link => findings.push(link(&path)),
            Found::Hidden => {}
            Found::Directory(owner, mode) => {
                findings.extend(judge(stack, directory, &path, owner, mode));
            }
        }
    }
    let setup = Xtask::Setup(stack.on());
    if !missing.is_empty() {
        let found = format!("{} missing in {}", missing.join(", "), below.display());
        findings.push(Finding::warning(id, found).mend(format!("{setup} makes them")));
    }
    if findings.is_empty() {
        let found = format!("the directories in {} have their owners and modes", below.display());
        findings.push(Finding::ok(id, found));
    }
    Ok(findings.into_iter().map(|finding| finding.about(stack.name())).collect())
}

fn link(path: &Path) -> Finding {
    Finding::error("data.link", format!("{} is a symbolic link", path.display()))
        .needs("a directory")
        .mend(Advice::from("mount the other place there").or("let DATA_DIR name it"))
}

fn judge(
    stack: &Stack,
    directory: &DataDirectory,
    path: &Path,
    owner: Owner,
    mode: u32,
) -> Option<Finding> {
    let wanted = Stack::owner(directory);
    let is_own = directory.owner.is_none();
    let is_right = match is_own {
        // They stay with the user who made them; root can write there all the same.
        true => owner.uid == wanted.uid || user::is_root(),
        false => owner == wanted,
    };
    if is_right && mode == directory.mode {
        return None;
    }
    let found = format!("{} belongs to {owner} with mode {mode:04o}", path.display());
    let quoted = quote(&path.to_string_lossy());
    // In doubt it is not empty.
    let is_ours =
        || is_empty(path) == Some(true) || generated::is_on_record(stack, &directory.path);
    let finding = if is_right || !is_own && is_ours() {
        Finding::error("data.directory", found).mend(Xtask::Setup(stack.on()))
    } else if is_own {
        Finding::error("data.owner", found).mend(
            Advice::from("run xtask as that user").or(format!("sudo chown -R {wanted} {quoted}")),
        )
    } else {
        Finding::error(
            "data.foreign",
            format!("{found} and is not empty: it may be another program's"),
        )
        .mend(
            Advice::from("choose another DATA_DIR")
                .or(format!("if it is this service's: sudo chown -R {wanted} {quoted}")),
        )
    };
    Some(finding.needs(format!("{wanted}, {:04o}", directory.mode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_lies_in_no_folder_of_the_system() {
        for path in ["/", "/etc", "/etc/redis", "/usr/local/x", "/var/lib", "data", "~/data", ""] {
            assert!(unfit(Path::new(path)).is_some(), "{path}");
        }
        for path in ["/data", "/srv/data/", "/var/lib/case", "/home/me/data", "/tmp/x"] {
            assert_eq!(unfit(Path::new(path)), None, "{path}");
        }
    }
}
