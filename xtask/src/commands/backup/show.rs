//! `cargo xtask backup show`.

use anyhow::Result;

use super::list::Known;
use super::which::{Found, Which};
use crate::backup::config::Config;
use crate::backup::order::{self, ago};
use crate::context::Context;
use crate::report::advice::Xtask;
use crate::report::table;
use crate::report::units::{Bytes, duration};

/// Show what a set holds
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub(super) fn run(self, cx: &Context, config: &Config) -> Result<()> {
        let Found { folder, set, .. } = self.which.find(cx, config, Xtask::BackupShow)?;
        let (all, _) = folder.sets()?;
        let known = Known::of(&folder, &all)?;
        let line = known.line(&set);
        for finding in order::findings(&all, known.now) {
            if finding.subject.as_deref() == Some(&*set.id) {
                cx.report.finding(&finding);
            }
        }
        let manifest = &set.manifest;
        cx.report.line(format!("{}\nbegun {}", set.id, manifest.started));
        for service in &manifest.services {
            let version = &service.facts.version;
            cx.report.line(format!("{}: {version} on {}", service.name, service.image));
        }
        for finding in set.not_held() {
            cx.report.finding(&finding);
        }
        if manifest.recipients.is_empty() {
            cx.report.line("not encrypted");
        } else {
            cx.report.line(format!("encrypted to {}", manifest.recipients.join(", ")));
        }
        cx.report.line(set.origin.describe());
        let row = |object: &crate::backup::set::ObjectRecord| {
            let verified = match known.verified.get(&object.path) {
                Some(last) => match &last.wrong {
                    Some(wrong) => wrong.clone(),
                    None => ago(last.at, known.now),
                },
                None => "never".to_owned(),
            };
            let time = if manifest.wrote(object) {
                duration(std::time::Duration::from_secs_f64(object.seconds.max(0.0)))
            } else {
                "shared".to_owned()
            };
            vec![
                (&*object.path).into(),
                Bytes(object.content_bytes).to_string().into(),
                Bytes(object.bytes).to_string().into(),
                time.into(),
                verified.into(),
            ]
        };
        let rows: Vec<_> = manifest.objects.iter().map(row).collect();
        let head = ["OBJECT", "CONTENTS", "SIZE", "TOOK", "VERIFIED"];
        cx.report.line(table::lines(&head, &rows).join("\n"));
        let document = serde_json::json!({ "set": line, "manifest": manifest });
        cx.report.document("xtask.backup-show/v1", &document)
    }
}
