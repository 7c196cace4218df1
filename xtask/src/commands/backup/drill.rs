//! `cargo xtask backup drill`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::accepted::Accepted;
use super::which::{Found, Which};
use crate::backup::config::Config;
use crate::backup::drill::Drill;
use crate::backup::folder::{Folder, Latest};
use crate::backup::metrics;
use crate::backup::proof::Answers;
use crate::backup::set::Set;
use crate::context::Context;
use crate::docker::engine::Engine;
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::report::units::duration;

/// Restore a set into throwaway containers and query them
///
/// Touches nothing of the stack, publishes no port, and records the time to restore. Without a
/// set: the latest; without a stack: of each.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// The file with the private key, for encrypted sets
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    accepted: Accepted,
}

impl Args {
    pub(super) fn run(self, cx: &Context, config: &Config) -> Result<()> {
        Engine::ask()?;
        let config = &self.accepted.with_keys(config);
        let (mut sets, mut damaged) = (Vec::new(), Vec::new());
        if self.which.set(cx).is_some() {
            let found = self.which.find(cx, config, Xtask::BackupDrillSet)?;
            sets.push(Found { stack: cx.stack(found.stack.short())?, ..found });
        } else {
            for stack in cx.stacks(self.which.stack(cx))? {
                let folder = Folder::of(cx, config, &stack)?;
                let Latest { set, newer } = folder.latest(&stack.project(), stack.name())?;
                damaged.extend(newer.iter().map(|bad| bad.finding(set.as_ref())));
                sets.extend(set.map(|set| Found { folder, set, stack }));
            }
        }
        for finding in &damaged {
            cx.report.finding(finding);
        }
        if sets.is_empty() && damaged.is_empty() {
            return Err(Problem::failed("backup.no-sets", "there is no set to drill")
                .mend(format!("make one: {}", Xtask::Backup))
                .into());
        }
        self.drill(cx, config, sets)?;
        // Another set restores; the newest one does not.
        damaged.first().map_or(Ok(()), |bad| {
            Err(Problem::failed(bad.id, bad.found.clone()).mend(bad.mend.clone()).into())
        })
    }

    fn drill(&self, cx: &Context, config: &Config, sets: Vec<Found>) -> Result<()> {
        let mut lines = Vec::new();
        let mut failed = Vec::new();
        for Found { folder, set, stack } in sets {
            if cx.dry_run {
                cx.report.line(format!(
                    "would: restore {} into containers of its own, ask them, remove them",
                    set.id
                ));
                continue;
            }
            let _lock = super::lock(cx, &folder, [&stack], "backup drill")?;
            let keys = config.keys(self.identity.clone());
            let believed = self.accepted.believe(&set, config)?;
            let drill = Drill { stack: &stack, folder: &folder, set: believed, keys };
            let (drilled, findings) = drill.run(cx)?;
            for finding in &findings {
                cx.report.finding(finding);
            }
            let time = |seconds: f64| duration(Duration::from_secs_f64(seconds.max(0.0)));
            let age = match drilled.age_seconds {
                ahead if ahead < 0.0 => {
                    format!("unknown: it is dated {} ahead of now", time(-ahead))
                }
                age => time(age),
            };
            let (verdict, answers) = (drilled.verdict(), Answers::of(&findings));
            cx.report.line(format!(
                "{} {verdict}: {answers}, time to restore {}, age {}",
                set.id,
                time(drilled.restore_seconds),
                age
            ));
            if !drilled.ok {
                failed.push(set.id.clone());
            }
            lines.push(document(&set, &drilled, &findings));
        }
        if cx.dry_run {
            return cx.report.document("xtask.plan/v1", &serde_json::json!({ "steps": [] }));
        }
        metrics::write(cx, config)?;
        cx.report.document("xtask.backup-drill/v1", &serde_json::json!({ "drills": lines }))?;
        if failed.is_empty() {
            return Ok(());
        }
        Err(Problem::failed("drill.failed", format!("{}: see above", failed.join(", ")))
            .mend(format!(
                "make a new set and drill it: {}, then {}",
                Xtask::Backup,
                Xtask::BackupDrill
            ))
            .into())
    }
}

fn document(
    set: &Set,
    drilled: &crate::backup::drill::Drilled,
    findings: &[Finding],
) -> serde_json::Value {
    serde_json::json!({ "set": set.id, "result": drilled, "findings": findings })
}
