//! Images on the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;

use super::docker;
use crate::process::Cmd;

/// Longest wait for Docker Hub.
const HUB: Duration = Duration::from_secs(5);

/// Which of `references` the engine has.
///
/// # Errors
/// When the engine does not answer.
pub fn present<'a>(references: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<&'a str>> {
    let references: BTreeSet<_> = references.into_iter().collect();
    if references.is_empty() {
        return Ok(references);
    }
    // Exits with 1 when one is missing, and still lists the others.
    let output = docker()
        .args(["image", "inspect", "--format", "{{json .RepoTags}} {{json .RepoDigests}} {{.Id}}"])
        .args(&references)
        .output()?;
    if output.success() {
        return Ok(references);
    }
    let mut found = BTreeSet::new();
    for reference in references {
        if output.stdout.contains(&format!("\"{reference}\"")) {
            found.insert(reference);
        } else if !reference.contains('/') || reference.contains('@') || !reference.contains(':') {
            // The engine lists such a reference in another form; only asking tells.
            let alone =
                docker().args(["image", "inspect", "--format", "{{.Id}}", reference]).output()?;
            if alone.success() {
                found.insert(reference);
            }
        }
    }
    Ok(found)
}

/// Under which names with a digest registries know the image; none where it was built here.
///
/// # Errors
/// When the engine does not answer or has no such image.
pub fn digests(reference: &str) -> Result<Vec<String>> {
    let format = "{{range .RepoDigests}}{{println .}}{{end}}";
    let lines = docker().args(["image", "inspect", "--format", format, reference]).read()?;
    Ok(lines.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
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

/// The value that the image `reference` gives the environment variable `name`; `None` where
/// either is missing.
///
/// # Errors
/// When the engine does not answer.
pub fn variable(reference: &str, name: &str) -> Result<Option<String>> {
    let format = "{{range .Config.Env}}{{println .}}{{end}}";
    let output = docker().args(["image", "inspect", "--format", format, reference]).output()?;
    let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned());
    Ok(output.stdout.lines().find_map(value))
}

/// The value of `label` on each of `references`; what is missing or has none is left out.
///
/// # Errors
/// When the engine does not answer.
pub fn labels(references: &[&str], label: &str) -> Result<BTreeMap<String, String>> {
    if references.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Exits with 1 when one is missing, and still lists the others.
    let format = format!("{{{{index .Config.Labels {label:?}}}}} {{{{json .RepoTags}}}}");
    let output =
        docker().args(["image", "inspect", "--format", &format]).args(references).output()?;
    let mut found = BTreeMap::new();
    for line in output.stdout.lines() {
        let Some((value, tags)) = line.split_once(' ') else { continue };
        let tags: Vec<String> = serde_json::from_str(tags).unwrap_or_default();
        if !value.is_empty() {
            found.extend(tags.into_iter().map(|tag| (tag, value.to_owned())));
        }
    }
    Ok(found)
}
