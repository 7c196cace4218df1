//! `cargo xtask completions`.

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::Cli;
use crate::context::Context;

/// Print a completion script for a shell
///
/// It completes the word `xtask`; an alias such as `alias xtask='cargo xtask'` makes it one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

impl Args {
    /// Prints the script on stdout.
    ///
    /// # Errors
    /// None.
    pub fn run(self, cx: &Context) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "xtask", &mut script);
        cx.report.line(String::from_utf8_lossy(&script));
        Ok(())
    }
}
