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
use super::order;
use super::origin;
use super::set::Set;
use super::verify;
use crate::host::files::{self, sync};
use crate::names::{ProjectName, ServiceName, StackName};
use crate::plan::Plan;
use crate::process::{Cmd, check_interrupted};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Problem};

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
    /// Chooses among the sets of `projects`. Only for the holder of the folder's lock.
    ///
    /// # Errors
    /// A problem, unless `force`, when the newest set is not
    /// verified or holds much less than the one before.
    pub fn choose(
        folder: &'a Folder,
        projects: &[String],
        is_ours: impl Fn(&Set) -> bool,
        keep: Keep,
        force: bool,
    ) -> Result<Self> {
        let (sets, damaged) = folder.sets()?;
        let damaged_findings = damaged::findings(&damaged, &sets);
        let record = verify::recorded(folder)?;
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
            if !force {
                refuse(&sets, &record)?;
            }
            let good: Vec<_> =
                sets.iter().filter(|set| !verify::is_known_bad(set, &record)).collect();
            let time = |set: &&Set| (!doubts.contains_key(&set.id)).then_some(set.manifest.started);
            let times: Vec<_> = good.iter().map(time).collect();
            let chosen = choose(&times, keep);
            let reasons = chosen.into_iter().map(|(at, why)| (good[at].id.clone(), why));
            let mut reasons: BTreeMap<_, _> = reasons.collect();
            // Whatever is wanted, one that is known to be good stays.
            if let Some(last) = good.iter().rfind(|set| verify::verified_at(set, &record).is_some())
            {
                reasons.entry(last.id.clone()).or_insert_with(|| "the last good one".to_owned());
            }
            for set in sets {
                match reasons.get(&set.id) {
                    Some(reason) => kept.push((set, reason.clone())),
                    None if verify::is_known_bad(&set, &record) && !force => {
                        kept.push((set, "damaged; goes with --force".to_owned()));
                    }
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
/// pushes no whole set out.
fn group(set: &Set) -> (ProjectName, StackName, Vec<ServiceName>) {
    let manifest = &set.manifest;
    let mut services: Vec<_> =
        manifest.services.iter().map(|service| service.name.clone()).collect();
    services.sort();
    (manifest.project.clone(), manifest.stack.clone(), services)
}

fn refuse(sets: &[Set], record: &verify::Record) -> Result<()> {
    let Some((newest, before)) = sets.split_last() else { return Ok(()) };
    if before.is_empty() {
        return Ok(());
    }
    if verify::verified_at(newest, record).is_none() {
        return Err(Problem::failed(
            "prune.unverified",
            format!("the newest set {} is not verified, so older ones stay", newest.id),
        )
        .mend(format!("{}, then this command again (--force prunes anyway)", Xtask::BackupVerify))
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
mod tests {
    use super::*;

    /// Those that stay of sets that were made at these times; a time that cannot be believed has a
    /// question mark.
    fn kept<'a>(texts: &[&'a str], keep: Keep) -> Vec<&'a str> {
        let time = |text: &&str| {
            let is_believed = !text.ends_with('?');
            is_believed.then(|| format!("{text}:00Z").parse().unwrap())
        };
        let times: Vec<_> = texts.iter().map(time).collect();
        choose(&times, keep).into_keys().map(|at| texts[at]).collect()
    }

    const NONE: Keep = Keep { last: 0, daily: 0, weekly: 0, monthly: 0 };

    #[test]
    fn the_newest_of_each_period_stays() {
        let all = [
            "2026-09-30T01:00",
            "2026-10-31T01:00",
            "2026-11-15T01:00",
            "2026-11-16T01:00",
            "2026-11-22T01:00",
            "2026-11-22T13:00",
            "2026-11-23T01:00",
        ];
        let keep = Keep { last: 2, ..NONE };
        assert_eq!(kept(&all, keep), ["2026-11-22T13:00", "2026-11-23T01:00"]);
        let keep = Keep { daily: 2, ..NONE };
        assert_eq!(kept(&all, keep), ["2026-11-22T13:00", "2026-11-23T01:00"]);
        // 15 November 2026 is a Sunday, the 16th and the 23rd are Mondays.
        let keep = Keep { weekly: 3, ..NONE };
        assert_eq!(kept(&all, keep), ["2026-11-15T01:00", "2026-11-22T13:00", "2026-11-23T01:00"]);
        let keep = Keep { monthly: 12, ..NONE };
        assert_eq!(kept(&all, keep), ["2026-09-30T01:00", "2026-10-31T01:00", "2026-11-23T01:00"]);
        assert_eq!(kept(&all, NONE), ["2026-11-23T01:00"], "what was made last stays");
    }

    #[test]
    fn a_date_that_cannot_be_believed_takes_nobodys_place_and_costs_no_new_set() {
        let all = ["2026-11-21T01:00", "2026-11-22T01:00", "2027-11-22T01:00?", "2026-11-23T01:00"];
        assert_eq!(kept(&all, Keep { last: 1, ..NONE }), ["2027-11-22T01:00?", "2026-11-23T01:00"]);
        let keep = Keep { daily: 2, ..NONE };
        assert_eq!(kept(&all, keep), &all[1..]);
        // The clock has gone back before the last three were made.
        let all =
            ["2026-11-22T01:00", "1970-01-01T01:00?", "1970-01-01T02:00?", "1970-01-01T03:00?"];
        assert_eq!(kept(&all, Keep { daily: 2, ..NONE }), [all[0], all[2], all[3]]);
    }

    #[test]
    fn only_objects_of_the_project_go() {
        let projects = ["a-b".to_owned()];
        for (path, goes) in [
            ("objects/postgres/20261123T131500Z-a-b-data.tar.zst", true),
            ("objects/postgres/.20261123T131500Z-a-b-data.tar.zst.X1.partial", true),
            ("objects/postgres/20261123T131500Z-a-data.tar.zst", false),
            ("objects/postgres/notes.txt", false),
            ("objects/é", false),
        ] {
            assert_eq!(is_object_of(path, &projects), goes, "{path}");
        }
    }

    #[test]
    fn days_without_a_set_use_up_nothing() {
        let all = ["2026-01-01T01:00", "2026-06-01T01:00", "2026-11-23T01:00"];
        assert_eq!(kept(&all, Keep { daily: 2, ..NONE }), ["2026-06-01T01:00", "2026-11-23T01:00"]);
    }
}
