//! Programs inside running containers, started over the engine's own interface
//! (docs.docker.com/reference/api/engine, "Exec"): no `docker` program has to start for each.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::api::{Answers, message};
use crate::http::Patience;

/// Longest silence: what looks for files may have many to look at.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

/// Runs a program in the container `id`, with a terminal, and returns what it writes. How it ends
/// is not told.
///
/// # Errors
/// When the container does not run or has no such program.
pub fn read(id: &str, words: &[&str]) -> Result<String> {
    let mut engine = Answers::open(Patience::Silence(SILENCE), 16 << 10)?;
    let path = format!("/containers/{id}/exec");
    let wanted = json!({ "AttachStdout": true, "Tty": true, "Cmd": words });
    let status = engine.give(&path, &wanted)?;
    let made: Made = engine.document(&path, status)?.context("there is no such container")?;
    let path = format!("/exec/{}/start", made.id);
    let status = engine.give(&path, &json!({ "Detach": false, "Tty": true }))?;
    let said = engine.body()?;
    if status != 200 {
        bail!("{} does not run: {} (status {status})", words[0], message(&said[..]));
    }
    Ok(String::from_utf8_lossy(&said).replace('\r', ""))
}
