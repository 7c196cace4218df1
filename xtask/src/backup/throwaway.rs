//! A server on restored data alone: no network but its own loopback, no ports, limits, removed
//! when dropped; and by the next run where we were killed.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::server::{Alone, Client, Server};
use super::unpack::Target;
use crate::docker::docker;
use crate::docker::labels::HELPER;
use crate::docker::mount::{Access, mount};
use crate::process::{Cmd, check_interrupted};

/// Between two questions whether it answers.
const POLL: Duration = Duration::from_millis(100);
/// Until a server that does not stop is killed.
const STOP_SECONDS: u64 = 120;
/// Where no limit of the original is known.
const USUAL_MEMORY: u64 = 1 << 30;

/// The server has ended instead of opening its data.
#[derive(Debug)]
pub struct CannotOpen(String);

impl std::fmt::Display for CannotOpen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server cannot open the restored data:\n{}", self.0)
    }
}

impl std::error::Error for CannotOpen {}

/// The container.
#[derive(Debug)]
pub struct Throwaway {
    id: String,
    client: &'static str,
}

impl Throwaway {
    /// Starts `server` as `alone` says, on what was unpacked at `target`, and waits until it has read
    /// its data. It may use `memory` bytes; 0 for the usual number.
    ///
    /// # Errors
    /// [`CannotOpen`] when it ends instead; when the engine cannot start it.
    pub fn start(target: &Target, server: &dyn Server, alone: &Alone, memory: u64) -> Result<Self> {
        let cmd = command(target, alone, memory)?;
        let id = cmd.read().context("starting a server on the restored data")?;
        let throwaway = Self { id, client: alone.client };
        while !server.is_ready(throwaway.client()) {
            check_interrupted()?;
            if !throwaway.is_running()? {
                return Err(CannotOpen(throwaway.last_words()).into());
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

fn command(target: &Target, alone: &Alone, memory: u64) -> Result<Cmd> {
    let memory = if memory == 0 { USUAL_MEMORY } else { memory };
    let options = alone.options.iter().flat_map(|(name, value)| [*name, value.as_str()]);
    Ok(docker()
        .args(["run", "--detach", "--pull", "never"])
        .args(["--label", &format!("{HELPER}={}", target.project)])
        .args(["--network", "none", "--user", &target.owner.to_string(), "--read-only"])
        .args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges"])
        .args(["--memory", &memory.to_string(), "--pids-limit", "256", "--cpu-shares", "256"])
        .args(mount(target.place, "/data", Access::Write)?)
        .args(options)
        .args(["--entrypoint", "sh", target.image, "-euc", alone.script, "sh"])
        .args(&alone.args))
}
