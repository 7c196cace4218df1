//! The snapshot of a backup: a folder of hard links in Prometheus's own data, removed afterwards.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::super::Subject;
use super::super::api::Api;
use super::DATA;
use crate::backup::undo_log;
use crate::docker::helper::Helper;
use crate::names::{ServiceName, checked, is_word};
use crate::plan::Plan;
use crate::process::Cmd;
use crate::stack::Stack;

/// Below Prometheus's data.
const FOLDER: &str = "snapshots";
/// How long after it was asked for its folder may have been begun, in seconds.
const SOON: i64 = 60;

const LIST: &str = r#"[ ! -d "$1" ] || ls -1 "$1""#;

/// Waits until nobody writes there any more: a server that was asked for a snapshot makes it to the
/// end, also when nobody waits for it.
const REMOVE: &str = r#"
cd "/data/$1"; shift
look() { find "$@" -exec stat -c '%n %s' {} + 2>/dev/null | sort; }
before=
while now="$(look "$@")"; [ "$now" != "$before" ]; do before="$now"; sleep 1; done
rm -rf "$@""#;

const REMOVE_AT_ONCE: &str = r#"cd "/data/$1"; shift; rm -rf "$@""#;

checked! {
    /// `20261123T131500Z-58f2a1c0d3e4b596`: a snapshot's, and its folder's.
    struct SnapshotName: "the name of a snapshot", |text| {
        let parts = text.split_once("Z-");
        parts.is_some_and(|(_, rest)| is_word(rest)) && begun(text).is_some()
    }
}

/// What is undone where a backup was killed.
#[derive(Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
enum Step {
    /// Prometheus was asked for a snapshot.
    Snapshot {
        service: ServiceName,
        /// When, by its clock, in seconds since 1970.
        asked: i64,
        /// The snapshots that there were.
        before: Vec<String>,
        /// The snapshot's name, once it has said it.
        name: Option<SnapshotName>,
    },
}

/// A snapshot that was made. Removed when dropped; by the next run where we were killed.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    stack: &'a Stack,
    name: SnapshotName,
    removal: Cmd,
    is_removed: bool,
}

#[derive(Deserialize)]
struct Answer {
    data: Name,
}

#[derive(Deserialize)]
struct Name {
    name: SnapshotName,
}

#[derive(Deserialize)]
struct Now {
    data: Scalar,
}

#[derive(Deserialize)]
struct Scalar {
    result: (f64, String),
}

impl<'a> Snapshot<'a> {
    /// Has one made, with what is in memory.
    ///
    /// # Errors
    /// When the server refuses.
    pub(super) fn make(subject: &Subject<'a>, api: &Api) -> Result<Self> {
        let Subject { stack, service, .. } = *subject;
        let helper = helper(stack, &service.name)?;
        let mut step = Step::Snapshot {
            service: service.name.as_str().try_into()?,
            // Its own clock names the folder.
            asked: api.json::<Now>("/api/v1/query?query=time()")?.data.result.0 as i64,
            before: names(&subject.client(LIST).ask(&[&format!("{DATA}/{FOLDER}")], "")?),
            name: None,
        };
        undo_log::record(stack, &step)?;
        let answer = api.post("/api/v1/admin/tsdb/snapshot").context("asking for a snapshot")?;
        let answer: Answer = serde_json::from_str(&answer).context("reading its answer")?;
        let made = answer.data.name;
        let Step::Snapshot { name, .. } = &mut step;
        *name = Some(made.clone());
        undo_log::record(stack, &step)?;
        let removal = helper.cmd(REMOVE_AT_ONCE, &[FOLDER.to_owned(), made.to_string()]);
        Ok(Self { stack, name: made, removal, is_removed: false })
    }

    /// Below Prometheus's data.
    pub(super) fn folder(&self) -> String {
        format!("{FOLDER}/{}", self.name)
    }

    /// Removes it.
    ///
    /// # Errors
    /// When that fails; the next run tries again.
    pub(super) fn remove(mut self) -> Result<()> {
        self.is_removed = true;
        self.removal.run()?;
        undo_log::forget(self.stack)
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if !self.is_removed && self.removal.clean_up().is_ok() {
            let _ = undo_log::forget(self.stack);
        }
    }
}

/// Removes the snapshot that a killed run has left, where it can be told from one that a person has
/// made.
///
/// # Errors
/// When it cannot be looked for.
pub(super) fn take_back(stack: &Stack, step: &undo_log::Step) -> Result<Option<Plan>> {
    let Ok(step) = Step::deserialize(step) else { return Ok(None) };
    let Step::Snapshot { service, asked, before, name } = step;
    let helper = helper(stack, &service)?;
    let all = names(&helper.cmd(LIST, &[format!("/data/{FOLDER}")]).read()?);
    let mut plan = Plan::new();
    if let Some(name) = ours(all, asked, &before, name.as_ref()) {
        let removal = helper.cmd(REMOVE, &[FOLDER.to_owned(), name.to_string()]);
        plan.run(
            format!("remove the snapshot {name}, which an interrupted backup has left"),
            removal,
        );
    }
    Ok(Some(plan))
}

/// By the name that was noted; else the only one that came just when it was asked for.
fn ours(
    all: Vec<String>,
    asked: i64,
    before: &[String],
    name: Option<&SnapshotName>,
) -> Option<SnapshotName> {
    let is_ours = |one: &SnapshotName| match name {
        Some(name) => one == name,
        None => {
            let is_soon = |at: i64| (0..=SOON).contains(&at.saturating_sub(asked));
            before.iter().all(|before| *one != **before) && begun(one).is_some_and(is_soon)
        }
    };
    let names = all.into_iter().filter_map(|name| SnapshotName::try_from(name).ok());
    let mut found = names.filter(is_ours);
    found.next().filter(|_| found.next().is_none())
}

fn names(listed: &str) -> Vec<String> {
    listed.lines().map(str::to_owned).collect()
}

fn helper(stack: &Stack, service: &str) -> Result<Helper> {
    let service = stack.service(service)?;
    let data = service.data.as_ref().context("stacks.toml names no data directory")?;
    let image = stack.image(service)?;
    Helper::new(&stack.project(), &image).mount(&stack.data_path(data), "/data")
}

/// `20261123T131500Z-58f2a1c0d3e4b596`, in seconds since 1970.
fn begun(name: &str) -> Option<i64> {
    let (time, _) = name.split_once("Z-")?;
    let time = DateTime::strptime("%Y%m%dT%H%M%S", time).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|at| Timestamp::from(&at).as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_snapshot_is_not_taken_for_ours() {
        let asked = begun("20261123T131500Z-aa").unwrap();
        let all = || ["20261123T131400Z-aa", "20261123T131502Z-bb"].map(str::to_owned).to_vec();
        let named = |name: &str| SnapshotName::try_from(name).unwrap();
        let found = |before: &[String], name| ours(all(), asked, before, name);
        assert_eq!(found(&[], None).as_deref(), Some("20261123T131502Z-bb"));
        assert_eq!(found(&all(), None), None, "it was there before");
        let noted = named("20261123T131400Z-aa");
        assert_eq!(found(&[], Some(&noted)), Some(noted.clone()));
        assert_eq!(ours(all(), asked - 90, &[], None).as_deref(), Some("20261123T131400Z-aa"));
        assert_eq!(ours(all(), asked - 59, &[], None), None, "two that it could be");
        assert_eq!(ours(vec!["mine".to_owned()], asked, &[], None), None);
    }
}
