//! Volumes that go when they are not needed any more.

use anyhow::{Context as _, Result};

use super::docker;
use super::helper::LABEL;
use crate::process::Cmd;

/// A volume, removed when dropped; by the next run of its project where we were killed.
#[derive(Debug)]
pub struct Volume(String);

impl Volume {
    /// An empty one of `project`.
    ///
    /// # Errors
    /// When the engine makes none.
    pub fn new(project: &str) -> Result<Self> {
        let label = format!("{LABEL}={project}");
        docker()
            .args(["volume", "create", "--label", &label])
            .read()
            .map(Self)
            .context("making a volume")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Cmd::new("docker").args(["volume", "rm", "--force", &self.0]).clean_up();
    }
}
