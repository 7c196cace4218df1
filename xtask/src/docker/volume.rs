//! Volumes that go when they are not needed any more.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::api::Answers;
use super::docker;
use super::labels::HELPER;
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
        let label = format!("{HELPER}={project}");
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

/// The names of the volumes with this label.
///
/// # Errors
/// When the engine does not answer.
pub(super) fn labelled(label: &str, value: &str) -> Result<Vec<String>> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Volumes {
        volumes: Option<Vec<Summary>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Summary {
        name: String,
        labels: Option<BTreeMap<String, String>>,
    }
    let Volumes { volumes } = Answers::brief()?.get("/volumes")?.unwrap_or_default();
    let is_labelled = |volume: &Summary| {
        volume.labels.iter().flatten().any(|(name, of)| name == label && of == value)
    };
    let found = volumes.into_iter().flatten().filter(is_labelled);
    Ok(found.map(|volume| volume.name).collect())
}
