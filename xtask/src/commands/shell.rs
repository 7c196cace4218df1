//! `cargo xtask shell`.

use std::io::IsTerminal;

use anyhow::Result;

use crate::context::Context;
use crate::docker::container;
use crate::plan::Plan;
use crate::process::Cmd;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;

/// Open psql, redis-cli or sh inside a service
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack
    #[arg(conflicts_with = "json")]
    stack: String,
    /// The service
    service: Option<String>,
    /// Arguments for the program inside, such as: get KEY, or -- -c 'SELECT 1'
    #[arg(trailing_var_arg = true)]
    arguments: Vec<String>,
}

/// Options of ours that say which copy is meant: after the program's arguments they would be its own, and
/// another copy would be acted on.
const OURS: &[&str] = &["--project", "--data-dir", "--dry-run"];

impl Args {
    /// Opens the shell and ends with its exit status.
    ///
    /// # Errors
    /// When the service does not run.
    pub fn run(self, cx: &Context) -> Result<()> {
        self.refuse_ours()?;
        let given: Vec<_> = self.service.into_iter().chain(self.arguments).collect();
        let (word, mut given) = cx.take_service(&self.stack, &given);
        let stack = cx.stack(&word)?;
        if given.is_empty() {
            let services = stack.active().into_iter();
            let ways = services.map(|service| Xtask::Shell(stack.on(), service.name.clone()));
            return Err(Problem::usage("service.unnamed", "no service is named")
                .mend(ways.fold(Advice::none(), Advice::or))
                .into());
        }
        let name = given.remove(0);
        let service = stack.service(&name)?;
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
            .args(&given);
        if cx.dry_run {
            let mut plan = Plan::new();
            plan.run(format!("open a shell in {}", service.name), cmd);
            return plan.print(&cx.report);
        }
        std::process::exit(cmd.interactive()?)
    }

    fn refuse_ours(&self) -> Result<()> {
        let is_ours = |word: &&String| {
            OURS.iter().any(|own| word.split('=').next().is_some_and(|name| name == *own))
        };
        let is_marked = std::env::args().any(|word| word == "--");
        let Some(word) = self.arguments.iter().find(is_ours).filter(|_| !is_marked) else {
            return Ok(());
        };
        Err(Problem::usage(
            "usage",
            format!("{word} after the program's arguments would go to the program, not to xtask"),
        )
        .mend("put it before the stack; what is for the program may follow --")
        .into())
    }
}
