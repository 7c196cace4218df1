//! `cargo xtask doctor`.

use anyhow::Result;
use serde_json::json;

use crate::context::Context;
use crate::doctor::{self, Diagnosis, fix};
use crate::report::Report;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Problem, Severity};
use crate::report::units::count;

/// Check the machine and the stacks for what would fail, and say what mends it
///
/// Reports every check with what was found, what is needed and the command that mends it. Exits
/// with status 3 when something keeps a stack from working.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack; every stack if left out
    stack: Option<String>,
    /// Mend what is safe to mend: packages, the engine, .env, directories, left-overs
    #[arg(long)]
    fix: bool,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// A prerequisite problem when a finding is an error.
    pub fn run(self, cx: &Context) -> Result<()> {
        let stack = self.stack.as_deref();
        let stacks = cx.stacks_to_check(stack)?;
        if self.fix {
            fix::mend(cx, &stacks)?;
            // What the plan would mend is still wrong.
            if cx.dry_run {
                return Ok(());
            }
        }
        let mut diagnosis = doctor::diagnose(cx, &cx.stacks_to_check(stack)?)?;
        diagnosis.add(super::backup::dates(cx, stack));
        let fit = diagnosis.is_fit(stack.is_some());
        print(&cx.report, &diagnosis, fit)?;
        if fit {
            return Ok(());
        }
        let errors = diagnosis.count(Severity::Error);
        let message =
            format!("{} found that would keep the stack from working", count(errors, "thing"));
        let problem = Problem::prerequisite("doctor.unfit", message);
        Err(if self.fix {
            problem.mend("follow the arrows above; the rest is mended")
        } else {
            let fix = match stacks.as_slice() {
                [stack] => Xtask::DoctorFixOn(stack.on()),
                _ => Xtask::DoctorFix,
            };
            problem.mend(
                Advice::from("follow the arrows above").or(format!("mend what is safe: {fix}")),
            )
        }
        .into())
    }
}

fn print(report: &Report, diagnosis: &Diagnosis, fit: bool) -> Result<()> {
    let findings: Vec<_> = diagnosis.findings().cloned().collect();
    report.findings(&findings);
    report.line(format!(
        "{}, {}, {}",
        count(findings.len(), "check"),
        count(diagnosis.count(Severity::Warning), "warning"),
        count(diagnosis.count(Severity::Error), "error")
    ));
    report.document("xtask.doctor/v1", &json!({ "findings": findings, "ok": fit }))
}
