//! `cargo xtask backup drill`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::accepted::Accepted;
use super::failures::Failures;
use super::which::{Found, Which};
use crate::backup::config::Config;
use crate::backup::drill::{Drill, Drilled};
use crate::backup::folder::{Folder, Latest};
use crate::backup::metrics;
use crate::backup::proof::Answers;
use crate::backup::set::Set;
use crate::context::Context;
use crate::docker::engine::Engine;
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::report::units::duration;
use crate::stack::Stack;

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
        let named = &self.accepted.with_keys(config);
        let (mut sets, mut damaged) = (Vec::new(), Vec::new());
        if self.which.set(cx).is_some() {
            let found = self.which.find(cx, named, Xtask::BackupDrillSet)?;
            sets.push(Found { stack: cx.stack(found.stack.short())?, ..found });
        } else {
            for stack in cx.stacks(self.which.stack(cx))? {
                let folder = Folder::of(cx, named, &stack)?;
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
        let outcome = self.drill(cx, named, sets);
        // Sets of a key that was named for this once count here, and not afterwards.
        let written = if cx.dry_run { Ok(()) } else { metrics::write(cx, config) };
        outcome.and(written)?;
        // Another set restores; the newest one does not.
        damaged.first().map_or(Ok(()), |bad| {
            Err(Problem::failed(bad.id, bad.found.clone()).mend(bad.mend.clone()).into())
        })
    }

    fn drill(&self, cx: &Context, config: &Config, sets: Vec<Found>) -> Result<()> {
        let (mut lines, mut bad, mut failed) = (Vec::new(), Vec::new(), Failures::default());
        for Found { folder, set, stack } in sets {
            if cx.dry_run {
                cx.report.line(format!(
                    "would: restore {} into containers of its own, ask them, remove them",
                    set.id
                ));
                continue;
            }
            let outcome = self.drill_one(cx, config, &folder, &set, &stack);
            let Some((drilled, findings)) = failed.note(&set.id, outcome)? else { continue };
            if !drilled.ok {
                bad.push(set.id.clone());
            }
            lines.push(document(&set, &drilled, &findings));
        }
        if cx.dry_run {
            return cx.report.document("xtask.plan/v1", &serde_json::json!({ "steps": [] }));
        }
        if lines.is_empty() && failed.is_any() {
            return failed.end(cx);
        }
        cx.report.document("xtask.backup-drill/v1", &serde_json::json!({ "drills": lines }))?;
        failed.end(cx)?;
        if bad.is_empty() {
            return Ok(());
        }
        Err(Problem::failed("drill.failed", format!("{}: see above", bad.join(", ")))
            .mend(format!(
                "make a new set and drill it: {}, then {}",
                Xtask::Backup,
                Xtask::BackupDrill
            ))
            .into())
    }

    fn drill_one(
        &self,
        cx: &Context,
        config: &Config,
        folder: &Folder,
        set: &Set,
        stack: &Stack,
    ) -> Result<(Drilled, Vec<Finding>)> {
        let _lock = super::lock(cx, folder, [stack], "backup drill")?;
        let keys = config.keys(self.identity.clone());
        let believed = self.accepted.believe(set, config)?;
        let (drilled, findings) = Drill { stack, folder, set: believed, keys }.run(cx)?;
        for finding in &findings {
            cx.report.finding(finding);
        }
        let time = |seconds: f64| duration(Duration::from_secs_f64(seconds.max(0.0)));
        let age = match drilled.age_seconds {
            ahead if ahead < 0.0 => format!("unknown: it is dated {} ahead of now", time(-ahead)),
            age => time(age),
        };
        let (verdict, answers) = (drilled.verdict(), Answers::of(&findings));
        let seconds = time(drilled.restore_seconds);
        cx.report
            .line(format!("{} {verdict}: {answers}, time to restore {seconds}, age {age}", set.id));
        Ok((drilled, findings))
    }
}

fn document(set: &Set, drilled: &Drilled, findings: &[Finding]) -> serde_json::Value {
    serde_json::json!({ "set": set.id, "result": drilled, "findings": findings })
}
