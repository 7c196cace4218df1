//! Short-lived containers: file work as root where we are not, and the servers' own programs.
//!
//! Each is labelled with its project; whoever takes the project's lock first removes what a
//! killed run has left.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{container, docker, image, volume};
use crate::host::user::Owner;
use crate::process::{Cmd, check_interrupted};

/// The label of every helper container; its value is the project.
pub const LABEL: &str = "case-interview.helper";

/// Longest wait for containers that the engine is removing.
const REMOVAL: Duration = Duration::from_secs(60);
/// Between two looks at them.
const POLL: Duration = Duration::from_millis(50);

/// A container on `image` that sees only what is mounted into it.
#[derive(Debug, Clone)]
pub struct Helper {
    project: String,
    image: String,
    options: Vec<String>,
    user: Option<String>,
    network: String,
}

impl Helper {
    /// A helper of `project`: root, without network, with no right but to read, write and give
    /// away files.
    pub fn new(project: &str, image: &str) -> Self {
        Self {
            project: project.to_owned(),
            image: image.to_owned(),
            options: Vec::new(),
            user: None,
            network: "none".to_owned(),
        }
    }

    /// Shows it the host's directory `source` as `target`. The engine makes a missing one.
    ///
    /// # Errors
    /// When the path has a colon, which Docker cannot mount.
    pub fn mount(self, source: &Path, target: &str) -> Result<Self> {
        let source = source.to_str().context("a path for Docker must be UTF-8")?;
        anyhow::ensure!(
            !source.contains(':'),
            "Docker cannot mount `{source}`: its name has a colon"
        );
        Ok(self.volume(source, target))
    }

    /// Shows it the volume, or the host's directory, `source` as `target`.
    pub fn volume(self, source: &str, target: &str) -> Self {
        self.option("--volume", &format!("{source}:{target}"))
    }

    /// Runs as this numeric user and group instead, with no rights but theirs.
    pub fn user(mut self, owner: Owner) -> Self {
        self.user = Some(owner.to_string());
        self
    }

    /// Stands in the network of the container `id`, whose 127.0.0.1 is then its own.
    pub fn beside(mut self, id: &str) -> Self {
        self.network = format!("container:{id}");
        self
    }

    /// Any other option of `docker run`.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// The command that runs `script` with `args`.
    pub fn cmd(&self, script: &str, args: &[String]) -> Cmd {
        let label = format!("{LABEL}={}", self.project);
        let mut cmd = Cmd::new("docker")
            .args(["run", "--rm", "--interactive", "--pull", "never", "--label", &label])
            .args(["--user", self.user.as_deref().unwrap_or("0:0"), "--network", &self.network])
            .args(["--read-only", "--cap-drop", "ALL"]);
        if self.user.is_none() {
            cmd = cmd.args([
                "--cap-add",
                "CHOWN",
                "--cap-add",
                "DAC_OVERRIDE",
                "--cap-add",
                "FOWNER",
            ]);
        }
        cmd.args(["--security-opt", "no-new-privileges", "--log-driver", "none"])
            .args(&self.options)
            .args(["--entrypoint", "sh", &self.image, "-euc", script, "sh"])
            .args(args)
    }
}

/// The helpers that a killed run of `project` has left.
///
/// # Errors
/// When the engine does not answer.
pub fn leftovers(project: &str) -> Result<Vec<String>> {
    container::labelled(LABEL, project)
}

/// Removes them, with their volumes, and says how many there were; what the engine is removing
/// already is waited for. Only for the holder of the project's lock.
///
/// # Errors
/// When the engine does not answer, or does not get them removed.
pub fn remove_leftovers(project: &str) -> Result<usize> {
    let mut ids = leftovers(project)?;
    let count = ids.len();
    let started = Instant::now();
    while !ids.is_empty() {
        // One that ends by itself is removed by the engine, which then refuses to do it once more.
        let removed = docker().args(["rm", "--force", "--volumes"]).args(&ids).run();
        ids = leftovers(project)?;
        if !ids.is_empty() && started.elapsed() > REMOVAL {
            removed.context("removing left-over helper containers")?;
            bail!("helper containers do not go: {}", ids.join(", "));
        }
        check_interrupted()?;
        std::thread::sleep(POLL);
    }
    container::wait_for_removals(project, REMOVAL)?;
    let volumes = volume::labelled(LABEL, project)?;
    if !volumes.is_empty() {
        let remove = docker().args(["volume", "rm", "--force"]).args(&volumes);
        remove.run().context("removing left-over volumes")?;
    }
    // A base image that was being built.
    let images = image::labelled(LABEL, project)?;
    if !images.is_empty() {
        let remove = docker().args(["image", "rm", "--force"]).args(&images);
        remove.run().context("removing a half-made image")?;
    }
    Ok(count)
}
