//! Which command lines may run by themselves.

use std::ffi::OsString;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{command, explain, parse};

/// The commands, and which of their arguments. None changes what runs, or removes what no rule of a
/// file of the repository says.
const MAY_RUN: &[(&str, &[&str])] = &[
    ("alerts list", &["firing"]),
    ("alerts send-test", &["channel"]),
    ("backup", &["stack", "only", "logical", "level", "recipient"]),
    ("backup create", &["stack", "only", "logical", "level", "recipient"]),
    ("backup drill", &["stack", "stack-option", "set", "identity", "signed_by"]),
    ("backup list", &["stack"]),
    ("backup prune", &["stack"]),
    ("backup verify", &["stack", "stack-option", "set", "quick", "deep", "identity"]),
    ("check", &["only"]),
    ("doctor", &["stack"]),
    ("env check", &["stack"]),
    ("metrics", &[]),
    ("rotate-logs", &["stack"]),
    ("status", &["stack"]),
];

/// Of the options of every command.
const GLOBAL: &[&str] = &["json", "verbose", "quiet", "color", "wait"];

/// Whether `arguments` may be a scheduled job; the error says why not, in one line.
///
/// # Errors
/// They are not a command, or one that only a person should start.
pub fn may_run(arguments: &[String]) -> Result<(), String> {
    let line = || std::iter::once("xtask").chain(arguments.iter().map(String::as_str));
    parse(line().map(OsString::from)).map_err(|error| explain(&error).0)?;
    let mut tree = command();
    let matches = tree.try_get_matches_from_mut(line()).map_err(|error| explain(&error).0)?;
    let (mut words, mut given) = (Vec::new(), Vec::new());
    let (mut level, mut read) = (&tree, &matches);
    loop {
        given.extend(stated(level, read));
        let Some((name, below)) = read.subcommand() else { break };
        words.push(name);
        (level, read) = (level.find_subcommand(name).unwrap_or(level), below);
    }
    let name = words.join(" ");
    let Some((_, allowed)) = MAY_RUN.iter().find(|(command, _)| *command == name) else {
        let known: Vec<_> = MAY_RUN.iter().map(|(command, _)| *command).collect();
        return Err(format!("{name} does not run by itself; these do: {}", known.join(", ")));
    };
    match given.iter().find(|id| !allowed.contains(id) && !GLOBAL.contains(id)) {
        None => Ok(()),
        Some(id) => Err(format!("{name} does not run by itself with {}", id.replace('_', "-"))),
    }
}

/// The arguments of `command` that the line has itself.
fn stated<'a>(command: &'a clap::Command, read: &ArgMatches) -> Vec<&'a str> {
    let ids = command.get_arguments().map(|argument| argument.get_id().as_str());
    let is_stated = |id: &&str| {
        let is_known = read.try_contains_id(id).is_ok();
        is_known && read.value_source(id) == Some(ValueSource::CommandLine)
    };
    ids.filter(is_stated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(line: &str) -> Result<(), String> {
        may_run(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_shipped_job_may_run() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for job in crate::stack::manifest::Manifest::load(root).unwrap().jobs {
            assert_eq!(may_run(&job.command), Ok(()), "{:?}", job.command);
        }
        for line in [
            "backup dev --only postgres --logical",
            "backup verify dev latest --deep",
            "status dev --json",
            "doctor",
        ] {
            assert_eq!(judged(line), Ok(()), "{line}");
        }
    }

    #[test]
    fn nothing_runs_by_itself_that_loses_data_or_changes_what_runs() {
        for line in [
            "down mon --purge",
            "down mon --purge --yes",
            "up dev --fresh",
            "up dev",
            "restart dev",
            "shell dev postgres",
            "backup --fresh",
            "backup restore dev latest",
            "backup restore dev --drop",
            "backup restore dev --undo",
            "backup prune --force",
            "backup prune --keep-last 0",
            "doctor --fix",
            "check --fix",
            "env check --fix",
            "env set-password dev postgres",
            "images remove",
            "schedule run backup",
            "schedule remove",
            "urls --reveal",
            "status --data-dir /elsewhere",
            "--project other backup",
            "backup --yes",
        ] {
            let why = judged(line).unwrap_err();
            assert!(why.contains("does not run by itself"), "{line}: {why}");
        }
        assert!(judged("bakup").unwrap_err().contains("bakup"));
    }
}
