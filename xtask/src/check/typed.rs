//! Every file with a format is read as the command that needs it reads it, so that none ends at 02:30
//! with a mistake in one.

use anyhow::Result;

use crate::alerts::{self, notifications::Source};
use crate::backup::config::Config;
use crate::configuration;
use crate::context::Context;
use crate::offline::catalogue::Catalogue;
use crate::report::finding::{Finding, Severity};
use crate::stack::job::Job;

const TYPED: &str = "files.typed";
/// The id of [`jobs_are_commands`].
pub(super) const JOBS: &str = "schedule.jobs";

/// Whether arguments are a command line that may run by itself; the error says why not.
pub type Understands = fn(&[String]) -> Result<(), String>;

pub(super) fn every_file_is_read(cx: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut error = |file: &str, error: &anyhow::Error| {
        findings.push(Finding { id: TYPED, ..Finding::of_error(TYPED, error) }.at(file, None));
    };
    if let Err(why) = Config::load(&cx.root) {
        error("infrastructure/backup.toml", &why);
    }
    if let Err(why) = Catalogue::load(&cx.root) {
        error("tests/images/images.toml", &why);
    }
    for stack in cx.stacks_whatever_env_says(None)? {
        let malformed = configuration::malformed_files(cx, &stack)?.into_iter();
        findings.extend(malformed.map(|finding| Finding { id: TYPED, ..finding }));
        let Some(folder) = alerts::folder_of(&stack) else { continue };
        let example = Source::read(folder.join("notifications.toml.example"), &cx.root)?;
        findings.extend(example.and_then(|example| example.parse().err()).map(|finding| *finding));
        // Who is told here; in a fresh checkout there is none.
        let own = alerts::findings(&stack)?.into_iter();
        findings.extend(own.filter(|finding| finding.severity == Severity::Error));
    }
    if findings.is_empty() {
        let found = "backup.toml, images.toml, notifications and configurations are well-formed";
        findings.push(Finding::ok(TYPED, found));
    }
    Ok(findings)
}

/// Whether each job of stacks.toml is a command that may run by itself.
pub(super) fn jobs_are_commands(jobs: &[Job], understands: Understands) -> Vec<Finding> {
    let wrong = |job: &Job| {
        let why = understands(&job.command).err()?;
        let found = format!("`{}` cannot be a job: {why}", job.command.join(" "));
        Some(
            Finding::error(JOBS, found)
                .about(job.name.as_str())
                .at("infrastructure/stacks.toml", None),
        )
    };
    let mut findings: Vec<_> = jobs.iter().filter_map(wrong).collect();
    if findings.is_empty() {
        let found =
            format!("each of {} scheduled jobs is a command that may run by itself", jobs.len());
        findings.push(Finding::ok(JOBS, found));
    }
    findings
}
