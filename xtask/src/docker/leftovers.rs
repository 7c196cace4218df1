//! What a killed run has left in the engine.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::labels::HELPER;
use super::{container, docker, image, volume};
use crate::process::check_interrupted;

/// Longest wait for containers that the engine is removing.
const REMOVAL: Duration = Duration::from_secs(60);
/// Between two looks at them.
const POLL: Duration = Duration::from_millis(50);

/// The helpers that a killed run of `project` has left.
///
/// # Errors
/// When the engine does not answer.
pub fn of(project: &str) -> Result<Vec<String>> {
    container::labelled(HELPER, project)
}

/// Removes them, with their volumes, and says how many there were; what the engine is removing
/// already is waited for. Only for the holder of the project's lock.
///
/// # Errors
/// When the engine does not answer, or does not get them removed.
pub fn remove(project: &str) -> Result<usize> {
    let mut ids = of(project)?;
    let count = ids.len();
    let started = Instant::now();
    while !ids.is_empty() {
        // One that ends by itself is removed by the engine, which then refuses to do it once more.
        let removed = docker().args(["rm", "--force", "--volumes"]).args(&ids).run();
        ids = of(project)?;
        if !ids.is_empty() && started.elapsed() > REMOVAL {
            removed.context("removing left-over helper containers")?;
            bail!("the engine does not remove the helper containers {}", ids.join(", "));
        }
        check_interrupted()?;
        std::thread::sleep(POLL);
    }
    container::wait_for_removals(project, REMOVAL)?;
    let volumes = volume::labelled(HELPER, project)?;
    if !volumes.is_empty() {
        let remove = docker().args(["volume", "rm", "--force"]).args(&volumes);
        remove.run().context("removing left-over volumes")?;
    }
    // A base image that was being built.
    let images = image::labelled(HELPER, project)?;
    if !images.is_empty() {
        let remove = docker().args(["image", "rm", "--force"]).args(&images);
        remove.run().context("removing a half-made image")?;
    }
    Ok(count)
}
