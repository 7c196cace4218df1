//! `cargo xtask check`.

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use crate::check::{self, Understands};
use crate::context::Context;
use crate::report::finding::{Problem, Severity};
use crate::report::units::count;

/// Check everything that can be checked without starting a stack (CI)
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these checks
    #[arg(value_name = "ID", value_parser = PossibleValuesParser::new(check::ids()))]
    only: Vec<String>,

    /// First normalise dashboards, such as after an export from Grafana
    #[arg(long)]
    fix: bool,
}

impl Args {
    /// Runs the checks and fails once. `understands` tells whether arguments are a command of ours.
    ///
    /// # Errors
    /// When one found an error.
    pub fn run(self, cx: &Context, understands: Understands) -> Result<()> {
        if self.fix {
            cx.execute(check::dashboards::tidy(&cx.root)?)?;
            if cx.dry_run {
                return Ok(());
            }
        }
        let findings = check::run(cx, &self.only, understands);
        cx.report.findings(&findings);
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        cx.report.document(
            "xtask.check/v1",
            &serde_json::json!({ "findings": findings, "ok": errors == 0 }),
        )?;
        if errors == 0 {
            return Ok(());
        }
        Err(Problem::failed(
            "check.failed",
            format!("{} to correct; see above", count(errors, "thing")),
        )
        .into())
    }
}
