//! What Prometheus learns of backups: a file for node-exporter's textfile collector, replaced
//! whole, made of what the backup folder records.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::folder::Folder;
use super::set::{PRIVATE, Set};
use super::{drill, verify};
use crate::context::Context;
use crate::host::disk;
use crate::host::files::{make_folder, read_optional, write_atomically};
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

/// Notes how an attempt to back up `services` ended. Only for the holder of the folder's lock.
///
/// # Errors
/// When it cannot be written.
pub fn note(folder: &Folder, project: &str, services: &[&str], ok: bool) -> Result<()> {
    let mut all = attempts(folder)?;
    let of_project = all.entry(project.to_owned()).or_default();
    for service in services {
        of_project.insert((*service).to_owned(), Attempt { at: Timestamp::now(), ok });
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
    for stack in cx.stacks(None)? {
        let folder = Folder::of(cx, config, &stack);
        if folder.sets_path().is_dir() {
            let page = files.entry(stack.data_dir()).or_default();
            page.stack(&folder, &stack)?;
        }
    }
    for (data, page) in files {
        let folder = data.join("metrics");
        make_folder(&folder, 0o755).with_context(|| format!("making {}", folder.display()))?;
        write_atomically(&folder.join("backup.prom"), page.text().as_bytes(), 0o644)?;
    }
    Ok(())
}

/// Metrics by name, each with its help and its lines.
#[derive(Debug, Default)]
struct Page(BTreeMap<&'static str, (&'static str, Vec<String>)>);

impl Page {
    fn add(&mut self, name: &'static str, help: &'static str, labels: &str, value: f64) {
        let (_, lines) = self.0.entry(name).or_insert_with(|| (help, Vec::new()));
        lines.push(format!("case_interview_backup_{name}{{{labels}}} {value}"));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, (help, lines)) in &self.0 {
            let name = format!("case_interview_backup_{name}");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            for line in lines {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    fn stack(&mut self, folder: &Folder, stack: &Stack) -> Result<()> {
        let (project, name) = (stack.project(), stack.name());
        let (mut sets, _) = folder.sets()?;
        sets.retain(|set| set.manifest.project == project && set.manifest.stack == name);
        let attempts = attempts(folder)?.remove(&project).unwrap_or_default();
        // The folder may be another stack's; nobody misses backups of one that is not used here.
        if sets.is_empty() && attempts.is_empty() {
            return Ok(());
        }
        let labels = format!("stack=\"{name}\"");
        let bytes: BTreeMap<_, _> = sets
            .iter()
            .flat_map(|set| &set.manifest.objects)
            .map(|object| (&object.path, object.bytes))
            .collect();
        self.add("sets", "Sets of the stack.", &labels, sets.len() as f64);
        let stored = bytes.values().sum::<u64>() as f64;
        self.add("stored_bytes", "Bytes of all objects of the stack's sets.", &labels, stored);
        let largest = sets.iter().map(Set::bytes).max().unwrap_or(0) as f64;
        self.add("largest_set_bytes", "Bytes of the largest set.", &labels, largest);
        let free = disk::space(folder.path())?.available as f64;
        self.add(
            "free_bytes",
            "Bytes left for backups, when they were last looked at.",
            &labels,
            free,
        );
        self.proofs(folder, &sets, &labels)?;
        for service in stack.definition.services.iter().filter(|one| one.backup.is_some()) {
            self.service(&sets, name, &service.name);
        }
        for (service, attempt) in attempts {
            let labels = format!("{labels},service=\"{service}\"");
            let at = seconds(attempt.at);
            self.add(
                "last_attempt_timestamp_seconds",
                "When a backup of the service last ended, well or not.",
                &labels,
                at,
            );
            let ok = if attempt.ok { 1.0 } else { 0.0 };
            self.add(
                "last_result",
                "1 if the last backup of the service was made, 0 if it failed.",
                &labels,
                ok,
            );
        }
        Ok(())
    }

    /// 0 stands for never.
    fn proofs(&mut self, folder: &Folder, sets: &[Set], labels: &str) -> Result<()> {
        let record = verify::recorded(folder)?;
        let verified = sets.iter().filter_map(|set| verify::verified_at(set, &record)).max();
        let verified = verified.map_or(0.0, seconds);
        self.add(
            "last_verify_timestamp_seconds",
            "When a set was last verified and found right; 0 for never.",
            labels,
            verified,
        );
        let drills = drill::recorded(folder)?;
        let ids: BTreeSet<_> = sets.iter().map(|set| set.id.as_str()).collect();
        let of_stack =
            || drills.iter().filter(|(id, _)| ids.contains(id.as_str())).map(|(_, drill)| drill);
        let last = of_stack().filter(|drill| drill.ok).max_by_key(|drill| drill.at);
        let at = last.map_or(0.0, |drill| seconds(drill.at));
        self.add(
            "last_drill_timestamp_seconds",
            "When a drill last succeeded; 0 for never.",
            labels,
            at,
        );
        if let Some(drill) = last {
            self.add(
                "restore_seconds",
                "How long the last drill took to restore.",
                labels,
                drill.restore_seconds,
            );
        }
        if let Some(drill) = of_stack().max_by_key(|drill| drill.at) {
            let ok = if drill.ok { 1.0 } else { 0.0 };
            self.add(
                "last_drill_result",
                "1 if the last drill succeeded, 0 if it failed.",
                labels,
                ok,
            );
        }
        Ok(())
    }

    fn service(&mut self, sets: &[Set], stack: &str, service: &str) {
        let mut with = sets.iter().rev().filter(|set| set.objects(service).next().is_some());
        let labels = format!("stack=\"{stack}\",service=\"{service}\"");
        let Some(last) = with.next() else {
            self.add(
                "last_success_timestamp_seconds",
                "When the last backup of the service was begun; 0 for never.",
                &labels,
                0.0,
            );
            return;
        };
        let size =
            |set: &Set| set.objects(service).map(|object| object.content_bytes).sum::<u64>() as f64;
        let took: f64 = last.objects(service).map(|object| object.seconds).sum();
        self.add(
            "last_success_timestamp_seconds",
            "When the last backup of the service was begun; 0 for never.",
            &labels,
            seconds(last.manifest.started),
        );
        self.add(
            "duration_seconds",
            "How long the objects of the service's last backup took.",
            &labels,
            took,
        );
        self.add(
            "size_bytes",
            "Bytes of the service's last backup, before compression.",
            &labels,
            size(last),
        );
        if let Some(before) = with.next() {
            self.add(
                "previous_size_bytes",
                "Bytes of the backup before that.",
                &labels,
                size(before),
            );
        }
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_has_its_help_once() {
        let mut page = Page::default();
        page.add("sets", "Sets of the stack.", "stack=\"development\"", 3.0);
        page.add("sets", "Sets of the stack.", "stack=\"monitoring\"", 1.0);
        assert_eq!(
            page.text(),
            "# HELP case_interview_backup_sets Sets of the stack.\n# TYPE case_interview_backup_sets gauge\ncase_interview_backup_sets{stack=\"development\"} 3\ncase_interview_backup_sets{stack=\"monitoring\"} 1\n"
        );
    }
}
