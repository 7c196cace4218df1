//! `cargo xtask completions`.

use anyhow::Result;

use crate::context::Context;

/// Print a completion script for a shell
///
/// It completes the word `xtask`; an alias such as `alias xtask='cargo xtask'` makes it one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(conflicts_with = "json")]
    shell: clap_complete::Shell,
}

impl Args {
    /// Prints the script for `command` on stdout.
    ///
    /// # Errors
    /// None.
    pub fn run(self, cx: &Context, mut command: clap::Command) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "xtask", &mut script);
        cx.report.line(String::from_utf8_lossy(&script));
        Ok(())
    }
}
