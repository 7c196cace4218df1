//! `cargo xtask shell`.

use std::io::IsTerminal;

use anyhow::Result;

use crate::context::Context;
use crate::docker::container;
use crate::plan::Plan;
use crate::process::Cmd;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;

/// Open psql, redis-cli or sh inside a service
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack
    stack: String,
    /// The service
    #[arg(conflicts_with = "json")]
    service: String,
    /// Arguments for the program inside, such as: -- -c 'SELECT 1'
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Args {
    /// Opens the shell and ends with its exit status.
    ///
    /// # Errors
    /// When the service does not run.
    pub fn run(self, cx: &Context) -> Result<()> {
        let stack = cx.stack(&self.stack)?;
        let service = stack.service(&self.service)?;
        let containers = cx.containers(&stack)?;
        let Some(container) = container::running(&containers, &service.name) else {
            return Err(Problem::failed(
                "service.not-running",
                format!("{} does not run", service.name),
            )
            .mend(Xtask::Up(stack.on()))
            .into());
        };
        let terminal = if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
            "-it"
        } else {
            "-i"
        };
        let cmd = Cmd::new("docker")
            .args([
                "exec",
                terminal,
                &container.id,
                "sh",
                "-c",
                &format!("{} \"$@\"", service.shell),
                "sh",
            ])
            .args(&self.arguments);
        if cx.dry_run {
            let mut plan = Plan::new();
            plan.run(format!("open a shell in {}", service.name), cmd);
            return plan.print(&cx.report);
        }
        std::process::exit(cmd.interactive()?)
    }
}
