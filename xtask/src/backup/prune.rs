//! Which sets go, by the order in which they were made and the dates that can be believed, and which objects then have no set.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::config::Keep;
use super::damaged;
use super::folder::Folder;
use super::order::{self, Doubt};
use super::origin;
use super::set::Set;
use super::verify;
use crate::host::files::{self, sync};
use crate::names::{ProjectName, ServiceName, SetId, StackName};
use crate::plan::Plan;
use crate::process::{Cmd, check_interrupted};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Problem, Severity};

/// The length of `20261123T131500Z`.
const STAMP: usize = 16;
/// A set that holds less than this part of the one before is suspicious.
const SHRUNK: f64 = 0.5;
/// Bytes below which that says nothing: silences and the like come and go.
const SMALL: u64 = 1 << 20;

/// What is going to happen.
#[derive(Debug)]
pub struct Prune<'a> {
    folder: &'a Folder,
    /// Sets that stay, each with what speaks for it.
    pub kept: Vec<(Set, String)>,
    /// Sets that go.
    pub removed: Vec<Set>,
    /// Files that no remaining set names.
    pub objects: Vec<String>,
    /// Files that stay although no set names them: one whose manifest is damaged may.
    pub doubtful: Vec<String>,
    /// What is said of manifests that are damaged.
    pub damaged: Vec<Finding>,
}

impl<'a> Prune<'a> {
    /// Chooses among the sets of `projects`. Only for the holder of the folder's lock. Unless `force`,
    /// older sets go only once the newest has proven itself: where it is not verified yet, `prove`
    /// reads it and says what is wrong.
    ///
    /// # Errors
    /// A problem, unless `force`, when older sets would go and the newest is damaged or holds much less
    /// than the one before.
    pub fn choose(
        folder: &'a Folder,
        projects: &[String],
        is_ours: impl Fn(&Set) -> bool,
        keep: Keep,
        force: bool,
        prove: impl Fn(&Set) -> Result<Vec<Finding>>,
    ) -> Result<Self> {
        let (sets, damaged) = folder.sets()?;
        let damaged_findings = damaged::findings(&damaged, &sets);
        let mut record = verify::recorded(folder)?;
        let doubts = order::doubts(&sets, Timestamp::now());
        let mut groups = BTreeMap::<_, Vec<Set>>::new();
        let (ours, mut others): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| is_ours(set));
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        for set in ours {
            if set.origin.is_believed() {
                groups.entry(group(&set)).or_default().push(set);
            } else {
                let why = format!("{}, so it counts for nothing", set.origin.describe());
                kept.push((set, why));
            }
        }
        for sets in groups.into_values() {
            // What would go once the newest had proven itself?
            let proven = with_newest(&sets, &record);
            if !force && reasons(&sets, &proven, &doubts, keep, force).len() < sets.len() {
                lean_on_newest(&sets, &record, &prove)?;
                record = proven;
            }
            let reasons = reasons(&sets, &record, &doubts, keep, force);
            for set in sets {
                match reasons.get(&set.id) {
                    Some(reason) => kept.push((set, reason.clone())),
                    None => removed.push(set),
                }
            }
        }
        others.extend(kept.iter().map(|(set, _)| set.clone()));
        let named: BTreeSet<_> = others
            .iter()
            .flat_map(|set| &set.manifest.objects)
            .map(|object| &*object.path)
            .collect();
        // What a set alone has written no other names, not even one whose manifest is damaged.
        let own: BTreeSet<_> = removed
            .iter()
            .flat_map(|set| {
                let objects = set.manifest.objects.iter();
                objects.filter(|one| one.key.is_none() && set.manifest.wrote(one))
            })
            .map(|object| &*object.path)
            .collect();
        let (mut objects, mut doubtful) = (Vec::new(), Vec::new());
        for path in folder.objects()? {
            if named.contains(path.as_str()) || !is_object_of(&path, projects) {
                continue;
            }
            let may_be_named = damaged.iter().any(|bad| bad.may_name(&path));
            let goes = own.contains(path.as_str()) || !may_be_named;
            if goes { objects.push(path) } else { doubtful.push(path) }
        }
        Ok(Self { folder, kept, removed, objects, doubtful, damaged: damaged_findings })
    }

    /// Bytes of the files that go.
    pub fn bytes(&self) -> u64 {
        let size = |path: &String| fs::metadata(self.folder.path().join(path)).ok();
        self.objects.iter().filter_map(|path| Some(size(path)?.len())).sum()
    }

    /// What would be removed.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::new();
        for set in &self.removed {
            let what = format!("remove {}: nothing in backup.toml speaks for it", set.id);
            plan.run(what, Cmd::new("rm").arg(&set.path).arg(origin::path(&set.path)));
        }
        for path in &self.objects {
            let what = "remove an object that no remaining set names";
            plan.run(what, Cmd::new("rm").arg(self.folder.path().join(path)));
        }
        plan
    }

    /// Removes. The manifests go first, for good, so that there is never a set without its objects.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn carry_out(&self) -> Result<()> {
        for set in &self.removed {
            check_interrupted()?;
            remove(&set.path)?;
            remove_if_there(&origin::path(&set.path))?;
        }
        let sets = self.folder.sets_path();
        sync(&sets).with_context(|| format!("syncing {}", sets.display()))?;
        for path in &self.objects {
            check_interrupted()?;
            remove(&self.folder.path().join(path))?;
        }
        Ok(())
    }
}

/// `objects/<service>/<UTC time>-<project>-…`, whole or not. What somebody else has put there stays.
fn is_object_of(path: &str, projects: &[String]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_prefix('.').unwrap_or(name);
    let Some((stamp, rest)) = name.split_at_checked(STAMP) else { return false };
    stamp.ends_with('Z')
        && rest.strip_prefix('-').is_some_and(|rest| {
            projects.iter().any(|project| {
                rest.strip_prefix(project.as_str()).is_some_and(|rest| rest.starts_with('-'))
            })
        })
}

fn remove_if_there(path: &Path) -> Result<()> {
    if path.exists() { remove(path) } else { Ok(()) }
}

fn remove(path: &Path) -> Result<()> {
    files::remove(path).with_context(|| format!("removing {}", path.display()))
}

/// Sets stand in for each other where they are of the same services: a backup of one service alone
/// pushes no whole set out, nor does an incomplete one.
fn group(set: &Set) -> (ProjectName, StackName, Vec<ServiceName>, bool) {
    let manifest = &set.manifest;
    let mut services: Vec<_> =
        manifest.services.iter().map(|service| service.name.clone()).collect();
    services.sort();
    let is_whole = manifest.missing.is_empty();
    (manifest.project.clone(), manifest.stack.clone(), services, is_whole)
}

/// Why each of `sets` stays that does, by its id.
fn reasons(
    sets: &[Set],
    record: &verify::Record,
    doubts: &BTreeMap<SetId, Doubt>,
    keep: Keep,
    force: bool,
) -> BTreeMap<SetId, String> {
    let (bad, good): (Vec<_>, Vec<_>) =
        sets.iter().partition(|set| verify::is_known_bad(set, record));
    let time = |set: &&Set| (!doubts.contains_key(&set.id)).then_some(set.manifest.started);
    let times: Vec<_> = good.iter().map(time).collect();
    let chosen = choose(&times, keep).into_iter();
    let mut reasons: BTreeMap<_, _> = chosen.map(|(at, why)| (good[at].id.clone(), why)).collect();
    // Whatever is wanted, one that is known to be good stays.
    if let Some(last) = good.iter().rfind(|set| verify::verified_at(set, record).is_some()) {
        reasons.entry(last.id.clone()).or_insert_with(|| "the last good one".to_owned());
    }
    if !force {
        let damaged = |set: &&Set| (set.id.clone(), "damaged; goes with --force".to_owned());
        reasons.extend(bad.iter().map(damaged));
    }
    reasons
}

/// `record` as it is when the newest of `sets` was verified and found right.
fn with_newest(sets: &[Set], record: &verify::Record) -> verify::Record {
    let mut record = record.clone();
    for object in sets.last().iter().flat_map(|newest| &newest.manifest.objects) {
        let good = verify::Verified { at: Timestamp::now(), deep: false, wrong: None };
        record.insert(object.path.clone(), good);
    }
    record
}

/// Fails unless the newest of `sets` is whole, and as large as the one before lets expect. A set that
/// was verified need not be read again.
fn lean_on_newest(
    sets: &[Set],
    record: &verify::Record,
    prove: impl Fn(&Set) -> Result<Vec<Finding>>,
) -> Result<()> {
    let Some((newest, before)) = sets.split_last() else { return Ok(()) };
    if verify::verified_at(newest, record).is_none()
        && let Some(wrong) = prove(newest)?.iter().find(|one| one.severity == Severity::Error)
    {
        return Err(Problem::failed(
            "prune.damaged",
            format!(
                "the newest set {} is damaged ({}), so older ones stay",
                newest.id, wrong.found
            ),
        )
        .mend(
            Advice::from(format!("make a new set: {}", Xtask::Backup))
                .or("bring the file back from a copy of the folder")
                .or("remove the damaged set and what is not kept: --force"),
        )
        .into());
    }
    for service in &newest.manifest.services {
        let contents = |set: &Set| -> u64 {
            set.objects(&service.name).map(|object| object.content_bytes).sum()
        };
        let (now, then) = (contents(newest), before.last().map_or(0, contents));
        if then >= SMALL && (now as f64) < then as f64 * SHRUNK {
            return Err(Problem::failed(
                "prune.shrunk",
                format!("{} of the newest set {} has {now} bytes, where the one before has {then}, so older ones stay", service.name, newest.id),
            )
            .mend(
                Advice::from(format!("see whether data was lost: {}", Xtask::BackupDrill))
                    .or("if the data really shrank: --force"),
            )
            .into());
        }
    }
    Ok(())
}

/// Which of `times`, in the order of making, stay, and why. A date that cannot be believed is `None`:
/// it takes no other set's place in a day, week or month, and cannot push out the set itself either.
fn choose(times: &[Option<Timestamp>], keep: Keep) -> BTreeMap<usize, String> {
    let mut reasons = BTreeMap::<usize, Vec<String>>::new();
    // Whatever is wanted, what was made last stays.
    for at in (0..times.len()).rev().take(keep.last.max(1)) {
        reasons.entry(at).or_default().push(format!("one of the last {}", keep.last.max(1)));
    }
    let all = keep.last + keep.daily + keep.weekly + keep.monthly;
    let undated = (0..times.len()).rev().filter(|at| times[*at].is_none());
    for at in undated.take(all) {
        let why = format!("one of the last {all} whose date cannot be believed");
        reasons.entry(at).or_default().push(why);
    }
    let date = |time: &Timestamp| time.to_zoned(TimeZone::UTC).date();
    let day = |time: &Timestamp| date(time).to_string();
    let week = |time: &Timestamp| monday(date(time)).to_string();
    let month = |time: &Timestamp| format!("{}-{:02}", date(time).year(), date(time).month());
    let mut newest_of_each = |word: &str, count: usize, period: &dyn Fn(&Timestamp) -> String| {
        let mut seen = BTreeSet::new();
        for (at, time) in times.iter().enumerate().rev() {
            let Some(time) = time else { continue };
            if seen.len() < count && seen.insert(period(time)) {
                reasons.entry(at).or_default().push(format!("{word} {}", period(time)));
            }
        }
    };
    newest_of_each("day", keep.daily, &day);
    newest_of_each("week of", keep.weekly, &week);
    newest_of_each("month", keep.monthly, &month);
    reasons.into_iter().map(|(at, reasons)| (at, reasons.join(", "))).collect()
}

fn monday(date: Date) -> Date {
    let days = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_sub(jiff::Span::new().days(days)).unwrap_or(date)
}

#[cfg(test)]
mod tests;
