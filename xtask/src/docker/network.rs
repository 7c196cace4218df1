//! Networks on the engine.

use anyhow::Result;

use super::docker;
use crate::process::Cmd;

/// The label of a network that several projects share; its value is the project that made it.
pub const SHARED: &str = "case-interview.network";

/// Whether the engine has a network called `name`.
///
/// # Errors
/// When the engine does not answer.
pub fn exists(name: &str) -> Result<bool> {
    // The filter finds parts of names too.
    let names = docker()
        .args(["network", "ls", "--format", "{{.Name}}", "--filter", &format!("name={name}")])
        .read()?;
    Ok(names.lines().any(|found| found == name))
}

/// The command that makes a network without a way out, which several projects may share.
pub fn create(name: &str, project: &str) -> Cmd {
    let label = format!("{SHARED}={project}");
    Cmd::new("docker").args(["network", "create", "--internal", "--label", &label, name])
}

/// The command that removes the network called `name`.
pub fn remove(name: &str) -> Cmd {
    Cmd::new("docker").args(["network", "rm", name])
}
