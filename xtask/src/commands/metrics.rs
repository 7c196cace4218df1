//! `cargo xtask metrics`.

use anyhow::Result;

use crate::context::Context;
use crate::metrics::infrastructure;
use crate::plan::Plan;
use crate::schedule::home::Home;

/// Write metrics of the infrastructure for Prometheus
///
/// Sizes and quotas of data directories, archived logs and offline images, into
/// `${DATA_DIR}/metrics/infrastructure.prom`, which node-exporter reads. Scheduled every 5 minutes.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Replaces the file. What cannot be found out is left out of it.
    ///
    /// # Errors
    /// When no stack is set up, the file cannot be written, or something could not be found out.
    pub fn run(self, cx: &Context) -> Result<()> {
        let home = Home::of(cx)?;
        let mut stacks = cx.stacks(None)?;
        stacks.retain(|stack| stack.env.text().is_some());
        let (page, errors) = infrastructure::page(&stacks);
        let path = home.metrics().join("infrastructure.prom");
        let mut plan = Plan::new();
        plan.write_openly(format!("write {}", path.display()), path, page.text(), 0o644);
        cx.execute(plan)?;
        let mut errors = errors.into_iter();
        let first = errors.next();
        errors.for_each(|error| cx.report.warning(format!("{error:#}")));
        first.map_or(Ok(()), Err)
    }
}
