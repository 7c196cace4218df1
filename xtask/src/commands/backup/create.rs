//! `cargo xtask backup create`.

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::failures::Failures;
use crate::backup::config::Config;
use crate::backup::create::Request;
use crate::backup::folder::Folder;
use crate::backup::object::Format;
use crate::backup::order;
use crate::backup::set::{Missing, ObjectRecord, Set};
use crate::backup::{health, metrics, settle};
use crate::context::Context;
use crate::data::known;
use crate::docker::container::Container;
use crate::docker::engine::Engine;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::units::{Bytes, duration};
use crate::stack::Stack;

/// Back up everything that a running stack holds, as one set
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The stack; every stack that is up if left out
    stack: Option<String>,
    /// Only this service; can be repeated
    #[arg(long, value_name = "SERVICE")]
    only: Vec<String>,
    /// Dump every database too, in a form that another major version can read
    #[arg(long)]
    logical: bool,
    /// Begin anew in a backup folder whose sets have gone. Without it, that is an error, since a disk
    /// may not be mounted
    #[arg(long)]
    fresh: bool,
    /// zstd's level, 1 (fastest) to 19 (smallest)
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: Option<i32>,
    /// A public key to encrypt to, instead of those in backup.toml; can be repeated
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    path: String,
    project: &'a str,
    stack: &'a str,
    started: String,
    /// Of all objects that it names.
    bytes: u64,
    /// Of those that no earlier set had.
    written_bytes: u64,
    content_bytes: u64,
    seconds: f64,
    objects: Vec<ObjectLine<'a>>,
    /// Services that should be in it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing: &'a [Missing],
}

#[derive(Serialize)]
struct ObjectLine<'a> {
    #[serde(flatten)]
    object: &'a ObjectRecord,
    bytes_per_second: f64,
}

impl Args {
    /// The word for the stack, if one was given.
    pub(super) fn stack(&self) -> Option<&str> {
        self.stack.as_deref()
    }

    pub(super) fn run(self, cx: &Context, config: &Config) -> Result<()> {
        Engine::ask()?;
        let (mut sets, mut failed) = (Vec::new(), Failures::default());
        for stack in cx.stacks(self.stack.as_deref())? {
            let idle = !cx.containers(&stack)?.iter().any(Container::is_running);
            if self.stack.is_none() && idle {
                cx.report.progress(format!("{} is not up: nothing to back up", stack.name()));
                continue;
            }
            sets.extend(failed.note(stack.name(), self.back_up(cx, config, &stack))?.flatten());
        }
        if cx.dry_run || (sets.is_empty() && failed.is_any()) {
            return failed.end(cx);
        }
        if sets.is_empty() {
            cx.refuse_left_out()?;
            return Err(Problem::failed("backup.nothing", "no stack is up: nothing was backed up")
                .mend("start a stack first (`up`)")
                .into());
        }
        let lines: Vec<_> = sets.iter().map(line).collect();
        cx.report.document("xtask.backup/v1", &serde_json::json!({ "sets": lines }))?;
        failed.end(cx)?;
        for set in &sets {
            if let Some(one) = set.manifest.missing.first() {
                let is_part = set.service(&one.service).is_ok();
                let stack = cx.stack(&set.manifest.stack)?;
                return Err(incomplete(&set.id, &stack, one, is_part).into());
            }
        }
        Ok(())
    }

    fn back_up(&self, cx: &Context, config: &Config, stack: &Stack) -> Result<Option<Set>> {
        known::refuse_gone(stack)?;
        let folder = match self.fresh {
            true => Folder::whatever(cx, config, stack)?,
            false => Folder::of(cx, config, stack)?,
        };
        let what = format!("backup {}", stack.short());
        let _locks = (super::lock(cx, &folder, [stack], &what)?, cx.lock(stack, &what)?);
        cx.remove_leftovers(&stack.project())?;
        settle(cx, stack)?;
        let containers = cx.containers(stack)?;
        let mut request = Request {
            stack,
            containers: &containers,
            services: Vec::new(),
            is_named: !self.only.is_empty(),
            logical: self.logical,
            config,
            folder: &folder,
            format: Format {
                level: self.level.unwrap_or(config.level),
                recipients: match self.recipient.as_slice() {
                    [] => config.recipients.clone(),
                    keys => keys.to_vec(),
                },
            },
        };
        for name in &self.only {
            request.services.push(stack.service(name)?);
        }
        if self.only.is_empty() {
            let all = stack.definition.services.iter();
            request.services.extend(all.filter(|service| service.backup.is_some()));
        }
        let names: Vec<_> = request.services.iter().map(|service| &*service.name).collect();
        let creation = request.prepare(cx);
        if cx.dry_run {
            let creation = creation?;
            cx.execute(creation.plan())?;
            return creation
                .missing
                .first()
                .map_or(Ok(None), |one| Err(incomplete("the set", stack, one, false).into()));
        }
        let made = creation.and_then(|creation| creation.carry_out(cx));
        let outcome = made.and_then(|set| folder.remember(cx).map(|()| set));
        let is_made = |name: &str| {
            let set = outcome.as_ref().ok();
            set.is_some_and(|set| set.manifest.missing.iter().all(|one| one.service != *name))
        };
        let noted = metrics::note(&folder, &stack.project(), &names, is_made)
            .and_then(|()| metrics::write(cx, config));
        if let Err(error) = noted {
            cx.report.warning(format!("Prometheus will not learn of this: {error:#}"));
        }
        if outcome.is_err() {
            // A helper of ours may not know yet that nobody reads any more.
            let _ = cx.remove_leftovers(&stack.project());
        }
        let is_meant = |one: &&Container| one.service().is_some_and(|name| names.contains(&name));
        let meant: Vec<_> = containers.iter().filter(is_meant).collect();
        let healthy = health::as_before(cx, stack, &meant);
        let set = outcome?;
        say(cx, &folder, &set);
        for finding in order::findings(&folder.sets()?.0, Timestamp::now()) {
            cx.report.finding(&finding);
        }
        healthy.map(|()| Some(set))
    }
}

fn incomplete(set: &str, stack: &Stack, missing: &Missing, is_part: bool) -> Problem {
    let service = &missing.service;
    let what = if is_part { "a part of " } else { "" };
    let found = format!("{set} is incomplete: it is without {what}{service}");
    Problem::failed("backup.incomplete", found).mend(format!(
        "mend what is said of {service} above, then make another: {}",
        Xtask::BackupOf(stack.on())
    ))
}

fn say(cx: &Context, folder: &Folder, set: &Set) {
    let manifest = &set.manifest;
    let time = manifest.finished.duration_since(manifest.started);
    let time = duration(time.unsigned_abs());
    cx.report.line(format!(
        "{} ({}, of which {} were written in {time})",
        set.id,
        Bytes(set.bytes()),
        Bytes(written(set))
    ));
    cx.report.progress(format!("in {}", folder.path().display()));
    for finding in set.not_held() {
        cx.report.finding(&finding);
    }
    if manifest.recipients.is_empty() {
        cx.report.warning(
            "the set is not encrypted: it holds data and passwords in the clear, for whoever can read the folder or a copy of it (recipients in infrastructure/backup.toml)",
        );
    }
}

/// Bytes that were written for it, and are not shared with an earlier one.
fn written(set: &Set) -> u64 {
    let objects = set.manifest.objects.iter().filter(|object| set.manifest.wrote(object));
    objects.map(|object| object.bytes).sum()
}

fn line(set: &Set) -> Line<'_> {
    let manifest = &set.manifest;
    fn object(object: &ObjectRecord) -> ObjectLine<'_> {
        let bytes_per_second = object.content_bytes as f64 / object.seconds.max(0.001);
        ObjectLine { object, bytes_per_second }
    }
    Line {
        id: &set.id,
        path: set.path.display().to_string(),
        project: &manifest.project,
        stack: &manifest.stack,
        started: manifest.started.to_string(),
        bytes: set.bytes(),
        written_bytes: written(set),
        content_bytes: manifest.objects.iter().map(|object| object.content_bytes).sum(),
        seconds: manifest.finished.duration_since(manifest.started).as_secs_f64(),
        objects: manifest.objects.iter().map(object).collect(),
        missing: &manifest.missing,
    }
}
