//! A server on restored data alone: no network but its own loopback, no ports, limits, removed
//! when dropped; and by the next run where we were killed.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::facts::Facts;
use super::source::{Client, Server};
use crate::docker::docker;
use crate::docker::labels::HELPER;
use crate::host::user::Owner;
use crate::process::{Cmd, check_interrupted};

/// Between two questions whether it answers.
const POLL: Duration = Duration::from_millis(100);
/// Until a server that does not stop is killed.
const STOP_SECONDS: u64 = 120;
/// Where no limit of the original is known.
const USUAL_MEMORY: u64 = 1 << 30;

/// The container.
#[derive(Debug)]
pub struct Throwaway {
    id: String,
    client: &'static str,
}

/// On what it runs.
#[derive(Debug)]
pub struct Place<'a> {
    /// The project whose left-over it would be.
    pub project: &'a str,
    /// The image.
    pub image: &'a str,
    /// The path or volume with the data.
    pub data: &'a str,
    /// Whose the data is.
    pub owner: Owner,
    /// Bytes; 0 for the usual.
    pub memory: u64,
}

impl Throwaway {
    /// Starts it and waits until it has read its data.
    ///
    /// # Errors
    /// When it ends instead; the error has its last words.
    pub fn start(place: &Place, facts: &Facts, server: &Server) -> Result<Self> {
        let id = command(place, server).read().context("starting a server on the restored data")?;
        let throwaway = Self { id, client: server.client };
        while !facts.is_ready(throwaway.client()) {
            check_interrupted()?;
            if !throwaway.is_running()? {
                bail!("the server cannot open the restored data:\n{}", throwaway.last_words());
            }
            std::thread::sleep(POLL);
        }
        Ok(throwaway)
    }

    /// What asks it.
    pub fn client(&self) -> Client<'_> {
        Client { id: &self.id, script: self.client }
    }

    /// Stops it, so that its data is whole on disk.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn stop(self) -> Result<()> {
        let seconds = STOP_SECONDS.to_string();
        let limit = Duration::from_secs(2 * STOP_SECONDS);
        docker().time_limit(limit).args(["stop", "--time", &seconds, &self.id]).run()?;
        let status = self.inspect("{{.State.ExitCode}}")?;
        if status != "0" {
            bail!("the server ended with status {status}:\n{}", self.last_words());
        }
        Ok(())
    }

    fn is_running(&self) -> Result<bool> {
        Ok(self.inspect("{{.State.Running}}")? == "true")
    }

    fn inspect(&self, format: &str) -> Result<String> {
        docker().args(["inspect", "--format", format, &self.id]).read()
    }

    fn last_words(&self) -> String {
        let output = docker().args(["logs", "--tail", "12", &self.id]).output();
        output
            .map(|output| [output.stdout, output.stderr].concat().trim_end().to_owned())
            .unwrap_or_default()
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        let _ = docker().args(["rm", "--force", "--volumes", &self.id]).run();
    }
}

fn command(place: &Place, server: &Server) -> Cmd {
    let memory = if place.memory == 0 { USUAL_MEMORY } else { place.memory };
    let options = server.options.iter().flat_map(|(name, value)| [*name, value.as_str()]);
    docker()
        .args(["run", "--detach", "--pull", "never"])
        .args(["--label", &format!("{HELPER}={}", place.project)])
        .args(["--network", "none", "--user", &place.owner.to_string(), "--read-only"])
        .args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges"])
        .args(["--memory", &memory.to_string(), "--pids-limit", "256", "--cpu-shares", "256"])
        .args(["--volume", &format!("{}:/data", place.data)])
        .args(options)
        .args(["--entrypoint", "sh", place.image, "-euc", server.script, "sh"])
        .args(&server.args)
}
