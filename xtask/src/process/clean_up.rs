//! What must be taken back, also when the user has interrupted.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Cmd, Failure, resolve};

impl Cmd {
    /// Runs to the end, which an interrupt neither keeps from beginning nor cuts off. For what
    /// takes a moment.
    ///
    /// # Errors
    /// When it cannot be started, or ends with another status than 0.
    pub fn clean_up(&self) -> Result<()> {
        let mut command = Command::new(resolve(&self.program)?);
        command.args(&self.args).stdin(Stdio::null());
        // Ctrl-C goes to the whole group of the terminal.
        let output = command.process_group(0).output();
        let output = output.with_context(|| format!("running `{self}`"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(self.error(Failure::Status(output.status.code()), &said).into())
    }
}
