//! `cargo xtask backup list`.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use crate::backup::config::Config;
use crate::backup::damaged;
use crate::backup::drill::{self, Drilled};
use crate::backup::folder::Folder;
use crate::backup::order::{self, Doubt, ago};
use crate::backup::origin::Origin;
use crate::backup::set::Set;
use crate::backup::verify;
use crate::context::Context;
use crate::names::{ObjectPath, ProjectName, ServiceName, SetId, StackName};
use crate::report::advice::Xtask;
use crate::report::table::{self, Cell};
use crate::report::units::{Bytes, duration};
use crate::report::{BAD, GOOD, WARNING};

/// List the sets, the newest first
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The stack; every stack if left out
    stack: Option<String>,
}

/// What `list` and `show` say of a set.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) id: SetId,
    project: ProjectName,
    stack: StackName,
    started: Timestamp,
    /// Below 0 where its date is ahead of now.
    age_seconds: i64,
    /// What speaks against its date.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<String>,
    /// Of all objects that it names.
    bytes: u64,
    /// Of those that no other set names.
    own_bytes: u64,
    content_bytes: u64,
    encrypted: bool,
    origin: Origin,
    services: BTreeMap<ServiceName, String>,
    /// Services that should be in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<ServiceName>,
    verified: Option<Timestamp>,
    damaged: bool,
    drill: Option<Drilled>,
}

impl Args {
    pub(super) fn run(self, cx: &Context, config: &Config) -> Result<()> {
        let mut lines = Vec::new();
        let (mut damaged, mut unusable, mut doubts) = (Vec::new(), Vec::new(), Vec::new());
        for (folder, _) in super::folders(cx, config, self.stack.as_deref())? {
            let (sets, bad) = folder.sets()?;
            let wanted = |set: &&Set| self.stack.is_none() || is_stack(cx, set, &self.stack);
            let known = Known::of(&folder, &sets)?;
            // Those of the folder in the order of their making, the newest first.
            lines.extend(sets.iter().rev().filter(wanted).map(|set| known.line(set)));
            doubts.extend(order::findings(&sets, known.now));
            unusable.extend(damaged::findings(&bad, &sets));
            damaged.extend(bad.iter().map(|bad| bad.path.display().to_string()));
        }
        if lines.is_empty() && !cx.report.is_json() {
            cx.report.progress(format!("no sets yet; make one with: {}", Xtask::Backup));
        } else {
            let head =
                ["SET", "AGE", "SIZE", "OWN", "SERVICES", "VERIFIED", "DRILLED", "RESTORES IN"];
            let rows: Vec<_> = lines.iter().map(row).collect();
            cx.report.line(table::lines(&head, &rows).join("\n"));
        }
        doubts.retain(|finding| {
            lines.iter().any(|line| finding.subject.as_deref() == Some(&*line.id))
        });
        for finding in &doubts {
            cx.report.finding(finding);
        }
        for bad in &unusable {
            cx.report.finding(bad);
        }
        let document = serde_json::json!({ "sets": lines, "damaged": damaged });
        cx.report.document("xtask.backup-list/v1", &document)
    }
}

fn is_stack(cx: &Context, set: &Set, word: &Option<String>) -> bool {
    let Some(Ok(meant)) = word.as_ref().map(|word| cx.manifest.select(word)) else { return true };
    meant.iter().any(|stack| set.manifest.stack == *stack.name)
}

/// What there is to know of all sets of a folder.
pub(super) struct Known<'a> {
    pub(super) verified: verify::Record,
    drills: drill::Record,
    doubts: BTreeMap<SetId, Doubt>,
    /// How many sets name each object.
    names: BTreeMap<&'a ObjectPath, usize>,
    pub(super) now: Timestamp,
}

impl<'a> Known<'a> {
    pub(super) fn of(folder: &Folder, sets: &'a [Set]) -> Result<Self> {
        let now = Timestamp::now();
        let mut names = BTreeMap::new();
        for object in sets.iter().flat_map(|set| &set.manifest.objects) {
            *names.entry(&object.path).or_default() += 1;
        }
        Ok(Self {
            verified: verify::recorded(folder)?,
            drills: drill::recorded(folder)?,
            doubts: order::doubts(sets, now),
            names,
            now,
        })
    }

    pub(super) fn line(&self, set: &Set) -> Line {
        let manifest = &set.manifest;
        let is_own = |path: &ObjectPath| self.names.get(path) == Some(&1);
        let own = manifest.objects.iter().filter(|object| is_own(&object.path));
        Line {
            id: set.id.clone(),
            project: manifest.project.clone(),
            stack: manifest.stack.clone(),
            started: manifest.started,
            age_seconds: self.now.duration_since(manifest.started).as_secs(),
            doubt: self.doubts.get(&set.id).map(ToString::to_string),
            bytes: set.bytes(),
            own_bytes: own.map(|object| object.bytes).sum(),
            content_bytes: manifest.objects.iter().map(|object| object.content_bytes).sum(),
            encrypted: !manifest.recipients.is_empty(),
            origin: set.origin,
            services: manifest
                .services
                .iter()
                .map(|service| (service.name.clone(), service.facts.version.clone()))
                .collect(),
            missing: manifest.missing.iter().map(|one| one.service.clone()).collect(),
            verified: verify::verified_at(set, &self.verified),
            damaged: verify::is_known_bad(set, &self.verified),
            drill: self.drills.get(&set.id).cloned(),
        }
    }
}

fn row(line: &Line) -> Vec<Cell> {
    let services: Vec<_> =
        line.services.iter().map(|(name, version)| format!("{name} {}", short(version))).collect();
    let now = Timestamp::now();
    let verified = match (line.damaged, line.verified) {
        _ if !line.origin.is_believed() => Cell::styled("NOT SIGNED", BAD),
        (true, _) => Cell::styled("DAMAGED", BAD),
        (_, Some(at)) => Cell::styled(ago(at, now), GOOD),
        (_, None) => Cell::styled("never", WARNING),
    };
    vec![
        (&*line.id).into(),
        age(line),
        Bytes(line.bytes).to_string().into(),
        Bytes(line.own_bytes).to_string().into(),
        if line.missing.is_empty() {
            services.join(", ").into()
        } else {
            let missing: Vec<_> = line.missing.iter().map(|name| &**name).collect();
            let text = format!("{}, INCOMPLETE: no {}", services.join(", "), missing.join(", "));
            Cell::styled(text, WARNING)
        },
        verified,
        match &line.drill {
            Some(drill) if drill.ok && !drill.is_whole() => {
                Cell::styled(format!("{}, in part", ago(drill.at, now)), WARNING)
            }
            Some(drill) if drill.ok => Cell::styled(ago(drill.at, now), GOOD),
            Some(_) => Cell::styled("FAILED", BAD),
            None => Cell::styled("never", WARNING),
        },
        line.drill.as_ref().filter(|drill| drill.ok).map_or_else(String::new, restores_in).into(),
    ]
}

fn age(line: &Line) -> Cell {
    let time = duration(std::time::Duration::from_secs(line.age_seconds.unsigned_abs()));
    match (&line.doubt, line.age_seconds < 0) {
        (_, true) => Cell::styled(format!("{time} ahead"), WARNING),
        (Some(_), false) => Cell::styled(format!("{time}?"), WARNING),
        (None, false) => time.into(),
    }
}

fn restores_in(drill: &Drilled) -> String {
    duration(std::time::Duration::from_secs_f64(drill.restore_seconds.max(0.0)))
}

/// `15.14 (Debian 15.14-0+deb12u1)` without what stands in brackets.
fn short(version: &str) -> &str {
    version.split(' ').next().unwrap_or(version)
}
