//! `cargo xtask rotate-logs`.

use anyhow::Result;
use serde::Serialize;

use crate::context::Context;
use crate::docker::container::Container;
use crate::logs::outcome::Outcome;
use crate::logs::rotate::{self, Task};
use crate::process::quote;
use crate::report::DIM;
use crate::report::table::{self, Cell};
use crate::report::units::Bytes;
use crate::stack::manifest::LogBounds;

/// Archive new log lines of the containers, and remove the oldest archives
///
/// The archives lie in `${DATA_DIR}/logs/<stack>/<service>/`, a file a day, for `zstdcat` and
/// `cargo xtask logs`. Interrupting it loses no line and repeats none.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack; every stack if left out
    stack: Option<String>,
}

impl Args {
    /// Archives every service; one that fails does not keep the others from it.
    ///
    /// # Errors
    /// What kept a service from being archived.
    pub fn run(self, cx: &Context) -> Result<()> {
        let mut outcomes = Vec::new();
        let mut errors = Vec::new();
        let mut steps = Vec::new();
        for stack in cx.stacks_by_place(self.stack.as_deref())? {
            let tasks = rotate::due(&stack, cx.containers(&stack)?)?;
            if tasks.is_empty() {
                cx.report.progress(format!("{} has no containers and no archives", stack.name()));
                continue;
            }
            if cx.dry_run {
                for task in &tasks {
                    steps.extend(describe(task)?);
                }
                continue;
            }
            match rotate::archive(&stack, &tasks, &cx.report) {
                Ok((done, failed)) => {
                    outcomes.extend(done);
                    errors.extend(failed);
                }
                Err(error) => errors.push(error),
            }
        }
        if cx.dry_run {
            for step in &steps {
                cx.report
                    .line(format!("would: {}\n       {DIM}$ {}{DIM:#}", step.what, step.command));
            }
            return cx.report.document("xtask.plan/v1", &serde_json::json!({ "steps": steps }));
        }
        show(cx, &outcomes)?;
        rotate::fail(errors, &cx.report)
    }
}

/// A step as `--dry-run` shows it, with what comes closest to it on a command line.
#[derive(Debug, Serialize)]
struct Step {
    what: String,
    command: String,
}

fn describe(task: &Task) -> Result<Vec<Step>> {
    let folder = quote(&task.folder.to_string_lossy());
    let step = |container: &Container| Step {
        what: format!("archive what {} has logged since the last time", container.name()),
        command: format!(
            "docker logs --timestamps {} | zstd >> {folder}/DAY.log.zst",
            container.name()
        ),
    };
    let mut steps: Vec<_> = task.containers.iter().map(step).collect();
    let surplus = task.surplus()?;
    if !surplus.is_empty() {
        let LogBounds { days, size } = task.bounds;
        let paths = surplus.iter().map(|file| quote(&task.folder.join(file).to_string_lossy()));
        steps.push(Step {
            what: format!(
                "remove archives of {} that are older than {days} days, or more than {size}",
                task.service
            ),
            command: format!("rm -- {}", paths.collect::<Vec<_>>().join(" ")),
        });
    }
    Ok(steps)
}

fn show(cx: &Context, outcomes: &[Outcome]) -> Result<()> {
    let row = |outcome: &Outcome| {
        vec![
            Cell::from(outcome.service.as_str()),
            outcome.entries.to_string().into(),
            Bytes(outcome.bytes).to_string().into(),
            Bytes(outcome.archive_bytes).to_string().into(),
            outcome.removed.join(" ").into(),
        ]
    };
    if !outcomes.is_empty() {
        let rows: Vec<_> = outcomes.iter().map(row).collect();
        let head = ["SERVICE", "NEW LINES", "SIZE", "WHOLE ARCHIVE", "REMOVED"];
        cx.report.line(table::lines(&head, &rows).join("\n"));
    }
    cx.report.document("xtask.rotate-logs/v1", &serde_json::json!({ "services": outcomes }))
}
