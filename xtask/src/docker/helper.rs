//! Short-lived containers: file work as root where we are not, and the servers' own programs.
//!
//! Each is labelled with its project; whoever takes the project's lock first removes what a
//! killed run has left.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::labels;
use super::mount::{self, Access};
use crate::host::user::Owner;
use crate::process::Cmd;

/// Longest look at a data directory, or work on it: terabytes are counted by then.
const LIMIT: Duration = Duration::from_secs(3600);

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

    /// Shows it the host's directory `source` as `target`, with `:ro` appended for read-only access. The
    /// engine makes a missing one.
    ///
    /// # Errors
    /// When the path has a colon, which Docker cannot mount.
    pub fn mount(self, source: &Path, target: &str) -> Result<Self> {
        let source = source.to_str().context("a path for Docker must be UTF-8")?;
        let [option, value] = mount::make_and_mount(source, target)?;
        Ok(self.option(&option, &value))
    }

    /// Shows it the volume, or the host's directory that is there, `source` as `target`.
    ///
    /// # Errors
    /// As [`mount::mount`].
    pub fn volume(self, source: &str, target: &str, access: Access) -> Result<Self> {
        let [option, value] = mount::mount(source, target, access)?;
        Ok(self.option(&option, &value))
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

    /// The command that runs `script` with `args`, for an hour at most.
    pub fn cmd(&self, script: &str, args: &[String]) -> Cmd {
        let label = format!("{}={}", labels::HELPER, self.project);
        let mut cmd = Cmd::new("docker")
            .time_limit(LIMIT)
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
