//! What Prometheus learns of backups: a file for node-exporter's textfile collector, replaced
//! whole, made of what the backup folder records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::drill::{self, Drilled};
use super::folder::Folder;
use super::order::{self, Doubt};
use super::set::{PRIVATE, Set};
use super::{signature, verify};
use crate::context::Context;
use crate::host::disk;
use crate::host::files::{make_folder, read_optional, write_atomically};
use crate::metrics::{self, Page};
use crate::names::SetId;
use crate::stack::Stack;

/// How the last attempt to back up a service ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Attempt {
    at: Timestamp,
    ok: bool,
}

/// By project, then by service.
type Attempts = BTreeMap<String, BTreeMap<String, Attempt>>;

fn attempts_path(folder: &Folder) -> PathBuf {
    folder.state().join("attempts.json")
}

fn attempts(folder: &Folder) -> Result<Attempts> {
    let text = read_optional(&attempts_path(folder))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Notes of which of `services` there is a new backup. Only for the holder of the folder's lock.
///
/// # Errors
/// When it cannot be written.
pub fn note(
    folder: &Folder,
    project: &str,
    services: &[&str],
    is_made: impl Fn(&str) -> bool,
) -> Result<()> {
    let mut all = attempts(folder)?;
    let of_project = all.entry(project.to_owned()).or_default();
    for service in services {
        let attempt = Attempt { at: Timestamp::now(), ok: is_made(service) };
        of_project.insert((*service).to_owned(), attempt);
    }
    let text = serde_json::to_string_pretty(&all).context("writing the attempts")?;
    write_atomically(&attempts_path(folder), text.as_bytes(), PRIVATE)
}

/// Writes the file anew for every data directory. Whoever backs up, verifies, drills or prunes
/// calls it at the end.
///
/// # Errors
/// When the folder cannot be read or the file not be written.
pub fn write(cx: &Context, config: &Config) -> Result<()> {
    let mut files = BTreeMap::<PathBuf, Page>::new();
    for stack in cx.stacks_by_place(None)? {
        let folder = Folder::of(cx, config, &stack)?;
        if folder.sets_path().is_dir() {
            signature::begin(&stack, &folder.manifests()?)?;
            let page = files.entry(stack.data_dir()).or_default();
            of_stack(page, &folder, &stack)?;
        }
    }
    for (data, page) in files {
        let folder = data.join(metrics::FOLDER);
        make_folder(&folder, 0o755).with_context(|| format!("making {}", folder.display()))?;
        page.write(&folder, "backup")?;
    }
    Ok(())
}

/// A gauge's name after `backup_`, and its help.
type Gauge = (&'static str, &'static str);

const SETS: Gauge = ("sets", "Sets of the stack.");
const STORED: Gauge = ("stored_bytes", "Bytes of all objects of the stack's sets.");
const LARGEST_SET: Gauge = ("largest_set_bytes", "Bytes of the largest set.");
const FREE: Gauge = ("free_bytes", "Bytes left for backups, when they were last looked at.");
const LAST_ATTEMPT: Gauge =
    ("last_attempt_timestamp_seconds", "When a backup of the service last ended, well or not.");
const LAST_RESULT: Gauge =
    ("last_result", "1 if the last backup of the service was made, 0 if it failed.");
const LAST_VERIFY: Gauge =
    ("last_verify_timestamp_seconds", "When a set was last verified and found right; 0 for never.");
const LAST_DRILL: Gauge =
    ("last_drill_timestamp_seconds", "When a drill last succeeded; 0 for never.");
const RESTORE: Gauge = ("restore_seconds", "How long the last drill took to restore.");
const LAST_DRILL_RESULT: Gauge =
    ("last_drill_result", "1 if the last drill succeeded, 0 if it failed.");
const NOT_LOOKED_AT: Gauge =
    ("last_drill_not_looked_at", "Questions of the last drill that have no answer.");
const LAST_SUCCESS: Gauge = (
    "last_success_timestamp_seconds",
    "When the last backup of the service whose date can be believed was begun; 0 for never.",
);
const DOUBTED: Gauge =
    ("doubted_dates", "Sets whose date is ahead of now or against the order of their making.");
const DURATION: Gauge =
    ("duration_seconds", "How long the objects of the service's last backup took.");
const SIZE: Gauge = ("size_bytes", "Bytes of the service's last backup, before compression.");
const PREVIOUS_SIZE: Gauge = ("previous_size_bytes", "Bytes of the backup before that.");

type Labels<'a> = &'a [(&'a str, &'a str)];

fn add(page: &mut Page, (name, help): Gauge, labels: Labels<'_>, value: f64) {
    page.gauge(&format!("backup_{name}"), help, labels, value);
}

fn of_stack(page: &mut Page, folder: &Folder, stack: &Stack) -> Result<()> {
    let (project, name) = (stack.project(), stack.name());
    let (mut sets, _) = folder.sets()?;
    sets.retain(|set| {
        let manifest = &set.manifest;
        set.origin.is_believed() && manifest.project == *project && manifest.stack == *name
    });
    let attempts = attempts(folder)?.remove(&project).unwrap_or_default();
    // Nobody misses backups of a stack that is not used here.
    if sets.is_empty() && attempts.is_empty() && !stack.env.path().exists() {
        return Ok(());
    }
    let labels = [("stack", name)];
    let bytes: BTreeMap<_, _> = sets
        .iter()
        .flat_map(|set| &set.manifest.objects)
        .map(|object| (&object.path, object.bytes))
        .collect();
    add(page, SETS, &labels, sets.len() as f64);
    add(page, STORED, &labels, bytes.values().sum::<u64>() as f64);
    add(page, LARGEST_SET, &labels, sets.iter().map(Set::bytes).max().unwrap_or(0) as f64);
    add(page, FREE, &labels, disk::space(folder.path())?.available as f64);
    let now = Timestamp::now();
    proofs(page, folder, &sets, &labels, now)?;
    let doubts = order::doubts(&sets, now);
    add(page, DOUBTED, &labels, doubts.len() as f64);
    for service in stack.definition.services.iter().filter(|one| one.backup.is_some()) {
        of_service(page, &sets, &doubts, name, &service.name);
    }
    for (service, attempt) in attempts {
        let labels = [("stack", name), ("service", service.as_str())];
        add(page, LAST_ATTEMPT, &labels, seconds(attempt.at));
        add(page, LAST_RESULT, &labels, one_if(attempt.ok));
    }
    Ok(())
}

/// 0 stands for never. What is dated ahead of now proves nothing: an alert would wait for that date.
fn proofs(
    page: &mut Page,
    folder: &Folder,
    sets: &[Set],
    labels: Labels<'_>,
    now: Timestamp,
) -> Result<()> {
    let record = verify::recorded(folder)?;
    let verified = sets.iter().filter_map(|set| verify::verified_at(set, &record));
    let verified = verified.filter(|at| *at <= now).max();
    add(page, LAST_VERIFY, labels, verified.map_or(0.0, seconds));
    let drills = drill::recorded(folder)?;
    let ids: BTreeSet<_> = sets.iter().map(|set| &set.id).collect();
    let is_its = |(id, drill): &(&SetId, &Drilled)| ids.contains(id) && drill.at <= now;
    let drilled = || drills.iter().filter(is_its).map(|(_, drill)| drill);
    let last = drilled().filter(|drill| drill.ok).max_by_key(|drill| drill.at);
    add(page, LAST_DRILL, labels, last.map_or(0.0, |drill| seconds(drill.at)));
    if let Some(drill) = last {
        add(page, RESTORE, labels, drill.restore_seconds);
    }
    if let Some(drill) = drilled().max_by_key(|drill| drill.at) {
        add(page, LAST_DRILL_RESULT, labels, one_if(drill.ok));
        if let Some(answers) = &drill.answers {
            add(page, NOT_LOOKED_AT, labels, answers.not_looked_at.len() as f64);
        }
    }
    Ok(())
}

fn of_service(
    page: &mut Page,
    sets: &[Set],
    doubts: &BTreeMap<SetId, Doubt>,
    stack: &str,
    service: &str,
) {
    let with = || sets.iter().rev().filter(|set| set.objects(service).next().is_some());
    let labels = [("stack", stack), ("service", service)];
    let dated = with().find(|set| !doubts.contains_key(&set.id));
    add(page, LAST_SUCCESS, &labels, dated.map_or(0.0, |set| seconds(set.manifest.started)));
    let mut with = with();
    let last = with.next();
    let size =
        |set: &Set| set.objects(service).map(|object| object.content_bytes).sum::<u64>() as f64;
    if let Some(last) = last {
        add(page, DURATION, &labels, last.objects(service).map(|object| object.seconds).sum());
        add(page, SIZE, &labels, size(last));
    }
    if let Some(before) = with.next() {
        add(page, PREVIOUS_SIZE, &labels, size(before));
    }
}

fn one_if(ok: bool) -> f64 {
    f64::from(u8::from(ok))
}

fn seconds(time: Timestamp) -> f64 {
    time.as_second() as f64
}
