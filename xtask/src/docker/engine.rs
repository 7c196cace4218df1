//! The engine itself: is it there, which is it, what does it have?

use std::sync::{Mutex, OnceLock};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::client::{has_default_context, set};
use super::docker;
use super::http::Answers;
use crate::process::{check_interrupted, find};
use crate::report::advice::Xtask;
use crate::report::finding::Problem;

/// Where the client talks to by default.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// Where the client talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// The engine that the docker client would use: `DOCKER_HOST`, else the current context's.
    pub fn current() -> &'static Self {
        static CURRENT: OnceLock<Endpoint> = OnceLock::new();
        CURRENT.get_or_init(|| {
            let from_context = || {
                let context =
                    docker().args(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
                context.read().ok().filter(|host| !host.is_empty())
            };
            let host = set("DOCKER_HOST")
                .or_else(|| if has_default_context() { None } else { from_context() });
            Self(host.unwrap_or_else(|| DEFAULT.to_owned()))
        })
    }

    /// The socket of this machine that it is, if it is one.
    pub fn socket(&self) -> Option<&std::path::Path> {
        self.0.strip_prefix("unix://").map(std::path::Path::new)
    }

    /// Whether the engine is on another machine, whose files and ports are not ours.
    pub fn is_remote(&self) -> bool {
        !(self.0.starts_with("unix://")
            || self.0.starts_with("npipe://")
            || self.0.starts_with('/'))
    }

    /// The other machine's name or address; `None` where the engine is on this one.
    pub fn host(&self) -> Option<String> {
        let (_, rest) = self.0.split_once("://").filter(|_| self.is_remote())?;
        let authority = rest.split('/').next().unwrap_or(rest);
        let host = authority.rsplit('@').next().unwrap_or(authority);
        // A port follows the last colon, outside the brackets of an IPv6 address.
        let end = host.rfind(':').filter(|end| *end > host.rfind(']').unwrap_or(0));
        Some(host[..end.unwrap_or(host.len())].to_owned())
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the engine says of itself (docs.docker.com/reference/api/engine, "Get system information").
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Engine {
    /// What tells it from every other.
    #[serde(rename = "ID", default)]
    pub id: String,
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

/// `20.10.24+dfsg1`, `v2.40.3`, `24.0` and the like as a version.
///
/// # Errors
/// When `text` begins with no version.
pub fn parse_version(text: &str) -> Result<semver::Version> {
    let numbers: Vec<_> = text
        .trim()
        .trim_start_matches('v')
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse::<u64>().ok())
        .take(3)
        .collect();
    let (Some(major), minor, patch) = (numbers.first(), numbers.get(1), numbers.get(2)) else {
        anyhow::bail!("`{text}` is no version");
    };
    Ok(semver::Version::new(*major, minor.copied().unwrap_or(0), patch.copied().unwrap_or(0)))
}

fn no_command() -> Problem {
    Problem::prerequisite("docker.command", "there is no `docker` command on the PATH")
        .mend(format!("install Docker Engine 20.10 or later (docs.docker.com/engine/install); on Debian and Ubuntu: {}", Xtask::DoctorFix))
}

/// Not running, no permission and unreachable are three things with three ways out.
pub(super) fn unreachable(said: &str) -> Problem {
    let endpoint = Endpoint::current();
    let last = said.lines().last().unwrap_or_default();
    if said.to_lowercase().contains("permission denied") {
        let group = format!(
            "sudo usermod -aG docker {}",
            std::env::var("USER").unwrap_or_else(|_| "$USER".to_owned())
        );
        Problem::prerequisite(
            "engine.permission",
            format!("you may not use the Docker engine at {endpoint}"),
        )
        .mend(format!("{group}, then log in again"))
    } else if endpoint.is_remote() {
        Problem::prerequisite("engine.unreachable", format!("the remote Docker engine at {endpoint} does not answer: {last}"))
            .mend("check the network and DOCKER_HOST, or use the local one: unset DOCKER_HOST; docker context use default")
    } else {
        Problem::prerequisite("engine.not-running", format!("no Docker engine answers at {endpoint}"))
            .mend(format!("start it: sudo systemctl start docker (Docker Desktop: start the application); on Debian and Ubuntu: {}", Xtask::DoctorFix))
    }
}

/// Whether the `docker` command is there.
///
/// # Errors
/// A prerequisite problem.
pub fn command() -> Result<std::path::PathBuf> {
    find("docker").map_err(|_| no_command().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_read() {
        for (text, expected) in [
            ("20.10.24+dfsg1", "20.10.24"),
            ("v2.40.3", "2.40.3"),
            ("24.0", "24.0.0"),
            ("29.0.0-rc.1", "29.0.0"),
        ] {
            assert_eq!(parse_version(text).unwrap().to_string(), expected);
        }
        assert!(parse_version("dev").is_err());
    }

    #[test]
    fn the_machine_of_a_remote_engine_is_named() {
        for (endpoint, host) in [
            ("tcp://10.0.0.7:2375", Some("10.0.0.7")),
            ("ssh://me@server", Some("server")),
            ("ssh://me@server:22/run", Some("server")),
            ("tcp://[::1]:2376", Some("[::1]")),
            ("unix:///var/run/docker.sock", None),
        ] {
            assert_eq!(Endpoint(endpoint.to_owned()).host().as_deref(), host, "{endpoint}");
        }
    }
}
