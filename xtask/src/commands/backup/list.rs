//! `cargo xtask backup list`.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use crate::backup::config::Config;
use crate::backup::drill::{self, Drilled};
use crate::backup::folder::Folder;
use crate::backup::origin::Origin;
use crate::backup::set::Set;
use crate::backup::verify;
use crate::context::Context;
use crate::names::{ProjectName, ServiceName, SetId, StackName};
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
    age_seconds: u64,
    /// Of all objects that it names.
    bytes: u64,
    /// Of those that no other set names.
    own_bytes: u64,
    content_bytes: u64,
    encrypted: bool,
    origin: Origin,
    services: BTreeMap<ServiceName, String>,
    verified: Option<Timestamp>,
    damaged: bool,
    drill: Option<Drilled>,
}

impl Args {
    pub(super) fn run(self, cx: &Context, config: &Config) -> Result<()> {
        let mut lines = Vec::new();
        let mut damaged = Vec::new();
        for (folder, _) in super::folders(cx, config, self.stack.as_deref())? {
            let (sets, bad) = folder.sets()?;
            let wanted = |set: &&Set| self.stack.is_none() || is_stack(cx, set, &self.stack);
            for set in sets.iter().filter(wanted) {
                lines.push(line(&folder, set, &sets)?);
            }
            damaged.extend(bad);
        }
        lines.sort_by_key(|line| std::cmp::Reverse(line.started));
        if lines.is_empty() && !cx.report.is_json() {
            cx.report.progress(format!("no sets yet; make one with: {}", Xtask::Backup));
        } else {
            let head =
                ["SET", "AGE", "SIZE", "OWN", "SERVICES", "VERIFIED", "DRILLED", "RESTORES IN"];
            let rows: Vec<_> = lines.iter().map(row).collect();
            cx.report.line(table::lines(&head, &rows).join("\n"));
        }
        for bad in &damaged {
            cx.report.warning(format!("{}: {}", bad.path.display(), bad.why));
        }
        let damaged: Vec<_> = damaged.iter().map(|bad| bad.path.display().to_string()).collect();
        let document = serde_json::json!({ "sets": lines, "damaged": damaged });
        cx.report.document("xtask.backup-list/v1", &document)
    }
}

fn is_stack(cx: &Context, set: &Set, word: &Option<String>) -> bool {
    let Some(Ok(meant)) = word.as_ref().map(|word| cx.manifest.select(word)) else { return true };
    meant.iter().any(|stack| set.manifest.stack == *stack.name)
}

/// What there is to say of `set` among `all` of its folder.
pub(super) fn line(folder: &Folder, set: &Set, all: &[Set]) -> Result<Line> {
    let record = verify::recorded(folder)?;
    let manifest = &set.manifest;
    let others = all.iter().filter(|other| other.id != set.id);
    let shared: std::collections::BTreeSet<_> =
        others.flat_map(|other| &other.manifest.objects).map(|object| &object.path).collect();
    let own = manifest.objects.iter().filter(|object| !shared.contains(&object.path));
    let age = Timestamp::now().duration_since(manifest.started).as_secs();
    Ok(Line {
        id: set.id.clone(),
        project: manifest.project.clone(),
        stack: manifest.stack.clone(),
        started: manifest.started,
        age_seconds: u64::try_from(age).unwrap_or(0),
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
        verified: verify::verified_at(set, &record),
        damaged: verify::is_known_bad(set, &record),
        drill: drill::recorded(folder)?.remove(&set.id),
    })
}

fn row(line: &Line) -> Vec<Cell> {
    let services: Vec<_> =
        line.services.iter().map(|(name, version)| format!("{name} {}", short(version))).collect();
    let verified = match (line.damaged, line.verified) {
        _ if !line.origin.is_believed() => Cell::styled("NOT SIGNED", BAD),
        (true, _) => Cell::styled("DAMAGED", BAD),
        (_, Some(at)) => Cell::styled(format!("{} ago", ago(at)), GOOD),
        (_, None) => Cell::styled("never", WARNING),
    };
    vec![
        (&*line.id).into(),
        duration(std::time::Duration::from_secs(line.age_seconds)).into(),
        Bytes(line.bytes).to_string().into(),
        Bytes(line.own_bytes).to_string().into(),
        services.join(", ").into(),
        verified,
        match &line.drill {
            Some(drill) if drill.ok => Cell::styled(format!("{} ago", ago(drill.at)), GOOD),
            Some(_) => Cell::styled("FAILED", BAD),
            None => Cell::styled("never", WARNING),
        },
        line.drill.as_ref().filter(|drill| drill.ok).map_or_else(String::new, restores_in).into(),
    ]
}

fn restores_in(drill: &Drilled) -> String {
    duration(std::time::Duration::from_secs_f64(drill.restore_seconds.max(0.0)))
}

/// `15.14 (Debian 15.14-0+deb12u1)` without what stands in brackets.
fn short(version: &str) -> &str {
    version.split(' ').next().unwrap_or(version)
}

/// Since `time`.
pub(super) fn ago(time: Timestamp) -> String {
    duration(Timestamp::now().duration_since(time).unsigned_abs())
}
