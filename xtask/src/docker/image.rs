//! Images on the engine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

use super::api::Answers;
use crate::process::Cmd;

/// Longest wait for Docker Hub.
const HUB: Duration = Duration::from_secs(5);

/// What the engine says of an image.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    /// Its id, which is a digest.
    pub id: String,
    /// Bytes on the engine's disk.
    #[serde(default)]
    pub size: u64,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Image {
    /// Under which names with a digest registries know it; none where it was built here.
    pub fn digests(&self) -> &[String] {
        self.repo_digests.as_deref().unwrap_or_default()
    }

    /// The value that it gives the environment variable `name`.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.config.as_ref()?.env.iter().flatten();
        variables.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// The value of its label `name`.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.config.as_ref()?.labels.as_ref()?.get(name).map(String::as_str)
    }
}

/// The images behind `references`; what the engine does not have is left out.
///
/// # Errors
/// When the engine does not answer.
pub fn find<'a>(references: impl IntoIterator<Item = &'a str>) -> Result<BTreeMap<&'a str, Image>> {
    let mut found = BTreeMap::new();
    let mut references = references.into_iter().filter(|reference| can_be(reference)).peekable();
    if references.peek().is_none() {
        return Ok(found);
    }
    let mut engine = Answers::brief()?;
    for reference in references {
        if let Some(image) = engine.get(&format!("/images/{reference}/json"))? {
            found.insert(reference, image);
        }
    }
    Ok(found)
}

/// The ids of the images with this label.
///
/// # Errors
/// When the engine does not answer.
pub(super) fn labelled(label: &str, value: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Summary {
        id: String,
        labels: Option<BTreeMap<String, String>>,
    }
    let images: Vec<Summary> = Answers::brief()?.get("/images/json")?.unwrap_or_default();
    let is_labelled = |image: &Summary| {
        image.labels.iter().flatten().any(|(name, of)| name == label && of == value)
    };
    Ok(images.into_iter().filter(is_labelled).map(|image| image.id).collect())
}

/// The image behind `reference`; `None` where the engine does not have it.
///
/// # Errors
/// When the engine does not answer.
pub fn get(reference: &str) -> Result<Option<Image>> {
    Ok(find([reference])?.remove(reference))
}

/// Whether `text`, which a user may have written into `.env`, can be a reference, and so be put
/// into a request as it is.
fn can_be(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/:@._-+".contains(c))
}

/// The command that pulls `reference`.
pub fn pull(reference: &str) -> Cmd {
    Cmd::new("docker").args(["pull", reference])
}

/// Whether Docker Hub answers the engine, which need not have the network that we have. A search,
/// since nothing else makes the engine ask there and fetches nothing.
pub fn hub_answers() -> bool {
    let search = Cmd::new("docker").args(["search", "--limit", "1", "redis"]).time_limit(HUB);
    search.output().is_ok_and(|output| output.success())
}
