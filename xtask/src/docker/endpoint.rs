//! Where the docker client finds its engine, and what to do where none answers there.

use std::sync::OnceLock;

use super::docker;
use super::settings::{self, Settings, variable};
use crate::report::advice::{Advice, Xtask};
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
            let host = variable("DOCKER_HOST")
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

/// Whether the client certainly uses the context that needs no asking; starting it to ask takes
/// longer than all that the engine then answers.
fn has_default_context() -> bool {
    if let Some(context) = variable("DOCKER_CONTEXT") {
        return context == "default";
    }
    let settings = settings::folder().and_then(|folder| Settings::load(&folder));
    settings.is_some_and(|Settings { current_context: context, .. }| {
        context.is_empty() || context == "default"
    })
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

/// It has taken a question, and hangs.
pub(super) fn silent() -> Problem {
    let endpoint = Endpoint::current();
    let found = format!("the Docker engine at {endpoint} took a question and gave no answer");
    let advice = Advice::from("try again: an engine under load answers later")
        .or("look at its log: journalctl --unit docker")
        .or("restart it, which restarts its containers: sudo systemctl restart docker");
    Problem::prerequisite("engine.silent", found).mend(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

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
