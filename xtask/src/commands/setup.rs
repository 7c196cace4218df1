//! `cargo xtask setup`.

use anyhow::Result;

use crate::backup;
use crate::context::Context;
use crate::data::Absence;
use crate::docker::engine::Engine;
use crate::doctor::{self, Intent};
use crate::images;
use crate::report::advice::Xtask;
use crate::setup::{accounts, complete, network, prepare};

/// Prepare a stack: .env with generated secrets, data directories, accounts, network
///
/// Changes nothing that is already right, and never overwrites a value.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack; every stack if left out
    stack: Option<String>,
    /// Choose the offline images in .env, building those that are missing
    #[arg(long)]
    offline: bool,
}

impl Args {
    /// Sets up.
    ///
    /// # Errors
    /// When a prerequisite is missing or a step fails; what was right before still is.
    pub fn run(self, cx: &Context) -> Result<()> {
        for stack in cx.stacks(self.stack.as_deref())? {
            Engine::ask()?;
            let _lock = cx.lock(&stack, "setup")?;
            cx.remove_leftovers(&stack.project())?;
            backup::settle(cx, &stack)?;
            let (mut plan, stack, _) =
                prepare(cx, cx.reload(&stack)?, self.offline, Absence::Refused)?;
            doctor::refuse_unfit(cx, &stack, Intent::Setup)?;
            if self.offline {
                images::provide(cx, &stack, &Xtask::Setup(stack.on()))?;
            }
            let _network = network::lock(cx, &stack, "setup")?;
            plan.append(complete(&stack)?);
            plan.append(accounts::plan(&stack, &cx.containers(&stack)?)?);
            if plan.is_empty() && !cx.dry_run {
                cx.report.done(format!("{} needs nothing", stack.name()));
                cx.execute(plan)?;
                continue;
            }
            cx.execute(plan)?;
            if !cx.dry_run {
                cx.report.progress(format!("Next: {}", Xtask::Up(stack.on())));
            }
        }
        Ok(())
    }
}
