//! Short-lived containers that do file work as root where we are not.
//!
//! Each is labelled with its project; whoever takes the project's lock first removes what a
//! killed run has left.

use std::path::Path;

use anyhow::{Context, Result};

use super::docker;
use crate::process::Cmd;

/// The label of every helper container; its value is the project.
pub const LABEL: &str = "case-interview.helper";

/// A container on `image` that sees only the directories mounted into it.
#[derive(Debug, Clone)]
pub struct Helper {
    project: String,
    image: String,
    mounts: Vec<String>,
}

impl Helper {
    /// A helper of `project`.
    pub fn new(project: &str, image: &str) -> Self {
        Self { project: project.to_owned(), image: image.to_owned(), mounts: Vec::new() }
    }

    /// Shows it the host's directory `source` as `target`. The engine makes a missing one.
    ///
    /// # Errors
    /// When the path has a colon, which Docker cannot mount.
    pub fn mount(mut self, source: &Path, target: &str) -> Result<Self> {
        let source = source.to_str().context("a path for Docker must be UTF-8")?;
        anyhow::ensure!(
            !source.contains(':'),
            "Docker cannot mount `{source}`: its name has a colon"
        );
        self.mounts.push(format!("{source}:{target}"));
        Ok(self)
    }

    /// The command that runs `script` with `args` as root, without network, with no right but to
    /// read, write and give away files.
    pub fn cmd(&self, script: &str, args: &[String]) -> Cmd {
        let mounts = self.mounts.iter().flat_map(|mount| ["--volume", mount]);
        Cmd::new("docker")
            .args([
                "run",
                "--rm",
                "--interactive",
                "--pull",
                "never",
                "--label",
                &format!("{LABEL}={}", self.project),
            ])
            .args(["--user", "0:0", "--network", "none", "--read-only", "--cap-drop", "ALL"])
            .args(["--cap-add", "CHOWN", "--cap-add", "DAC_OVERRIDE", "--cap-add", "FOWNER"])
            .args(["--security-opt", "no-new-privileges", "--log-driver", "none"])
            .args(mounts)
            .args(["--entrypoint", "sh", &self.image, "-euc", script, "sh"])
            .args(args)
    }
}

/// The helpers that a killed run of `project` has left.
///
/// # Errors
/// When the engine does not answer.
pub fn leftovers(project: &str) -> Result<Vec<String>> {
    let filter = format!("label={LABEL}={project}");
    let ids = docker().args(["ps", "--all", "--quiet", "--filter", &filter]).read()?;
    Ok(ids.lines().map(str::to_owned).collect())
}

/// Removes them and says how many there were. Only for the holder of the project's lock.
///
/// # Errors
/// When the engine does not answer.
pub fn remove_leftovers(project: &str) -> Result<usize> {
    let ids = leftovers(project)?;
    if !ids.is_empty() {
        docker()
            .args(["rm", "--force", "--volumes"])
            .args(&ids)
            .run()
            .context("removing left-over helper containers")?;
    }
    // A base image that was being built.
    let filter = format!("label={LABEL}={project}");
    let images = docker().args(["image", "ls", "--quiet", "--filter", &filter]).read()?;
    if !images.is_empty() {
        let remove = docker().args(["image", "rm", "--force"]).args(images.lines());
        remove.run().context("removing a half-made image")?;
    }
    Ok(ids.len())
}
