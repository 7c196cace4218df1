//! `cargo xtask backup verify`.

use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;

use super::which::{Found, Which};
use crate::backup::config::Config;
use crate::backup::damaged::DAMAGED;
use crate::backup::folder::Folder;
use crate::backup::metrics;
use crate::backup::order;
use crate::backup::proof::Answers;
use crate::backup::set::Set;
use crate::backup::verify::{self, Depth};
use crate::context::Context;
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem, Severity};

/// Read every object and compare it with its manifest
///
/// Finds changed, missing and foreign files, and records which objects were intact. Without a
/// set: all of the stack; without a stack: all.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Compare sizes only, without reading
    #[arg(long, conflicts_with = "deep")]
    quick: bool,
    /// Open every archive to its end too
    #[arg(long)]
    deep: bool,
    /// The file with the private key, to open encrypted archives
    #[arg(long, value_name = "FILE", requires = "deep")]
    identity: Option<PathBuf>,
}

fn is_wrong(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}

impl Args {
    pub(super) fn run(self, cx: &Context, config: &Config) -> Result<()> {
        let depth = match (self.quick, self.deep) {
            (true, _) => Depth::Quick,
            (_, true) => Depth::Deep,
            _ => Depth::Full,
        };
        let keys = config.keys(self.identity);
        let look = |folder: &Folder, sets: &[Set]| -> Result<Vec<Finding>> {
            let mut found = verify::origins(sets);
            found.extend(verify::objects(&cx.report, folder, sets, depth, &keys, !cx.dry_run)?);
            Ok(found)
        };
        let (mut findings, mut looked_at) = (Vec::new(), 0);
        if self.which.set(cx).is_some() {
            let Found { folder, set, stack } =
                self.which.find(cx, config, Xtask::BackupVerifySet)?;
            let _lock = super::lock(cx, &folder, [&stack], "backup verify")?;
            findings.extend(look(&folder, &[set])?);
            looked_at = 1;
        } else {
            for (folder, stacks) in super::folders(cx, config, self.which.stack(cx))? {
                if !folder.path().is_dir() {
                    continue;
                }
                let _lock = super::lock(cx, &folder, &stacks, "backup verify")?;
                let (mut sets, damaged) = folder.sets()?;
                findings.extend(verify::strays(&folder, &sets, &damaged)?);
                if self.which.stack(cx).is_some() {
                    sets.retain(|set| super::is_of(set, &stacks));
                }
                findings.extend(order::findings(&sets, Timestamp::now()));
                findings.extend(look(&folder, &sets)?);
                looked_at += sets.len();
            }
        }
        if !cx.dry_run {
            metrics::write(cx, config)?;
        }
        for finding in &findings {
            cx.report.finding(finding);
        }
        let ok = looked_at > 0 && !findings.iter().any(is_wrong);
        let answers = Answers::of(&findings);
        let document = serde_json::json!({ "findings": findings, "answers": answers, "ok": ok });
        cx.report.document("xtask.backup-verify/v1", &document)?;
        if ok {
            return Ok(());
        }
        if findings.iter().any(is_wrong) {
            let only_unknown = answers.refuted == 0 && answers.failed;
            let only_unknown = only_unknown && !findings.iter().any(|one| one.id == DAMAGED);
            return Err(if only_unknown {
                Problem::failed("backup.not-looked-at", "not all could be looked at; see above")
            } else {
                Problem::failed("backup.damaged", "backups are damaged; see above")
            }
            .into());
        }
        Err(Problem::failed("backup.no-sets", "there is no set to verify")
            .mend(format!("make one: {}", Xtask::Backup))
            .into())
    }
}
