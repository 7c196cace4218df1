//! The engine itself: is it there, which is it, what does it have?

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::api::Answers;
use super::endpoint::unreachable;
use super::version::parse_version;
use crate::process::{check_interrupted, find};
use crate::report::advice::Xtask;
use crate::report::finding::Problem;

/// What the engine says of itself (docs.docker.com/reference/api/engine, "Get system information").
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Engine {
    /// Of the key of the machine's engines before version 24, its own since then.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// The name of the machine that it runs on.
    #[serde(default)]
    pub name: String,
    /// The server's version, such as `20.10.24+dfsg1`.
    #[serde(default)]
    pub server_version: String,
    /// Memory in bytes.
    #[serde(default)]
    pub mem_total: u64,
    /// Where it keeps images and containers.
    #[serde(default)]
    pub docker_root_dir: String,
    /// `name=rootless` and the like.
    #[serde(default)]
    pub security_options: Vec<String>,
    /// `Docker Desktop`, or the distribution.
    #[serde(default)]
    pub operating_system: String,
}

impl Engine {
    /// Asks the engine, once it has answered never again.
    ///
    /// # Errors
    /// A prerequisite problem: no docker command, no daemon, no permission, remote unreachable.
    pub fn ask() -> Result<&'static Self> {
        static ANSWER: OnceLock<Engine> = OnceLock::new();
        // Who comes second waits for the first one's answer, and asks only if there was none.
        static ASKING: Mutex<()> = Mutex::new(());
        let _asking = ASKING.lock();
        match ANSWER.get() {
            Some(engine) => Ok(engine),
            None => Self::ask_anew().map(|engine| ANSWER.get_or_init(|| engine)),
        }
    }

    /// Asks another engine, at this socket of the machine.
    ///
    /// # Errors
    /// When none answers there.
    pub fn ask_at(socket: &Path) -> Result<Self> {
        Answers::brief_at(socket)?.get("/info")?.context("it says nothing of itself")
    }

    fn ask_anew() -> Result<Self> {
        // Nothing can be done without, although the engine answers.
        command()?;
        let answer = Answers::brief().and_then(|mut engine| engine.get("/info"));
        answer.and_then(|info| info.context("it says nothing of itself")).map_err(|error| {
            let is_told = error.is::<Problem>() || check_interrupted().is_err();
            if is_told { error } else { unreachable(&format!("{error:#}")).into() }
        })
    }

    /// Whether it runs without root, so that its user ids are shifted on the host.
    pub fn is_rootless(&self) -> bool {
        self.security_options.iter().any(|option| option.contains("name=rootless"))
    }

    /// Whether its files are not this machine's although its socket is.
    pub fn is_desktop(&self) -> bool {
        self.operating_system.contains("Docker Desktop")
    }

    /// The version without what distributions add.
    ///
    /// # Errors
    /// When it is none.
    pub fn version(&self) -> Result<semver::Version> {
        parse_version(&self.server_version)
    }
}

fn no_command() -> Problem {
    Problem::prerequisite("docker.command", "there is no `docker` command on the PATH")
        .mend(format!("install Docker Engine 20.10 or later (docs.docker.com/engine/install); on Debian and Ubuntu: {}", Xtask::DoctorFix))
}

/// Whether the `docker` command is there.
///
/// # Errors
/// A prerequisite problem.
pub fn command() -> Result<std::path::PathBuf> {
    find("docker").map_err(|_| no_command().into())
}
