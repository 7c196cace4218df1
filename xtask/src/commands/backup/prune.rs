//! `cargo xtask backup prune`.

use anyhow::Result;

use crate::backup::config::{Config, Keep};
use crate::backup::metrics;
use crate::backup::object::Keys;
use crate::backup::prune::Prune;
use crate::backup::verify::{self, Depth};
use crate::context::Context;
use crate::report::units::{Bytes, count};
use crate::stack::Stack;

/// Remove sets that infrastructure/backup.toml does not keep, and objects that no set names
///
/// Only sets of this project. Before older sets go, the newest is verified if it was not yet; they
/// stay where it is damaged or suspiciously small.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The stack; every stack if left out
    stack: Option<String>,
    /// Keep this many of the newest, whatever backup.toml says
    #[arg(long, value_name = "NUMBER")]
    keep_last: Option<usize>,
    /// Keep the newest of each of this many days
    #[arg(long, value_name = "NUMBER")]
    keep_daily: Option<usize>,
    /// Keep the newest of each of this many weeks
    #[arg(long, value_name = "NUMBER")]
    keep_weekly: Option<usize>,
    /// Keep the newest of each of this many months
    #[arg(long, value_name = "NUMBER")]
    keep_monthly: Option<usize>,
    /// Prune even if the newest set is damaged or suspiciously small; remove damaged sets too
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) fn run(self, cx: &Context, config: &Config) -> Result<()> {
        let keep = Keep {
            last: self.keep_last.unwrap_or(config.keep.last),
            daily: self.keep_daily.unwrap_or(config.keep.daily),
            weekly: self.keep_weekly.unwrap_or(config.keep.weekly),
            monthly: self.keep_monthly.unwrap_or(config.keep.monthly),
        };
        let (mut kept, mut removed, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (folder, stacks) in super::folders(cx, config, self.stack.as_deref())? {
            if !folder.path().is_dir() {
                continue;
            }
            let _lock = super::lock(cx, &folder, &stacks, "backup prune")?;
            let is_ours = |set: &_| super::is_of(set, &stacks);
            let projects: Vec<_> = stacks.iter().map(Stack::project).collect();
            let prove = |set: &_| {
                let (sets, keys) = (std::slice::from_ref(set), Keys::default());
                verify::objects(&cx.report, &folder, sets, Depth::Full, &keys, !cx.dry_run)
            };
            let prune = Prune::choose(&folder, &projects, is_ours, keep, self.force, prove)?;
            for finding in &prune.damaged {
                cx.report.finding(finding);
            }
            if !prune.doubtful.is_empty() {
                let count = count(prune.doubtful.len(), "object");
                cx.report.warning(format!("{count} that no set names may be of a damaged manifest: they stay while it is there"));
            }
            for (set, why) in &prune.kept {
                cx.report.line(format!("keep   {}: {why}", set.id));
                kept.push(serde_json::json!({ "id": set.id, "why": why }));
            }
            if cx.dry_run {
                cx.execute(prune.plan())?;
                continue;
            }
            bytes += prune.bytes();
            prune.carry_out()?;
            for set in &prune.removed {
                cx.report.line(format!("remove {}", set.id));
                removed.push(set.id.clone());
            }
            if !prune.objects.is_empty() {
                let count = count(prune.objects.len(), "object");
                cx.report.done(format!("{count} removed, {} free again", Bytes(bytes)));
            }
        }
        if cx.dry_run {
            return Ok(());
        }
        metrics::write(cx, config)?;
        let document = serde_json::json!({ "kept": kept, "removed": removed, "bytes": bytes });
        cx.report.document("xtask.backup-prune/v1", &document)
    }
}
