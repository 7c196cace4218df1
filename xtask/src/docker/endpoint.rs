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
pub enum Endpoint {
    /// A URL, or a path.
    At(String),
    /// The context that was chosen cannot be read, and why. No other engine is meant.
    Unknown(String),
}

impl Endpoint {
    /// The engine that the docker client would use: `DOCKER_HOST`, else the current context's.
    pub fn current() -> &'static Self {
        static CURRENT: OnceLock<Endpoint> = OnceLock::new();
        CURRENT.get_or_init(|| match variable("DOCKER_HOST") {
            Some(host) => Self::At(host),
            None if has_default_context() => Self::At(DEFAULT.to_owned()),
            None => Self::of_context(),
        })
    }

    fn of_context() -> Self {
        let asked = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"];
        match docker().args(asked).read() {
            Ok(host) if host.is_empty() => Self::Unknown("it names no engine".to_owned()),
            Ok(host) => Self::At(host),
            Err(error) => Self::Unknown(format!("{error:#}")),
        }
    }

    /// What a program has to find in `DOCKER_HOST` to use the same engine; nothing where it finds
    /// it by itself. Docker-compose 1.x follows `DOCKER_HOST` and the client's settings, but not
    /// `DOCKER_CONTEXT`.
    pub fn to_export() -> Option<String> {
        let is_by_context =
            variable("DOCKER_HOST").is_none() && variable("DOCKER_CONTEXT").is_some();
        is_by_context.then(|| Self::current().to_string())
    }

    /// The socket of this machine that it is, if it is one.
    pub fn socket(&self) -> Option<&std::path::Path> {
        let Self::At(address) = self else { return None };
        address.strip_prefix("unix://").map(std::path::Path::new)
    }

    /// Whether the engine is on another machine, whose files and ports are not ours; one that is
    /// not known may be.
    pub fn is_remote(&self) -> bool {
        let Self::At(address) = self else { return true };
        !(["unix://", "npipe://", "/"].iter().any(|here| address.starts_with(here)))
    }

    /// The other machine's name or address; `None` where the engine is on this one.
    pub fn host(&self) -> Option<String> {
        let Self::At(address) = self else { return None };
        let (_, rest) = address.split_once("://").filter(|_| self.is_remote())?;
        let authority = rest.split('/').next().unwrap_or(rest);
        let host = authority.rsplit('@').next().unwrap_or(authority);
        // A port follows the last colon, outside the brackets of an IPv6 address.
        let end = host.rfind(':').filter(|end| *end > host.rfind(']').unwrap_or(0));
        Some(host[..end.unwrap_or(host.len())].to_owned())
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(address) => f.write_str(address),
            Self::Unknown(_) => f.write_str("an unknown place"),
        }
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
    if let Endpoint::Unknown(why) = endpoint {
        let context = variable("DOCKER_CONTEXT").unwrap_or_else(|| "the current one".to_owned());
        let found = format!("the Docker context {context} cannot be used: {why}");
        return Problem::prerequisite("engine.context", found)
            .mend("choose one of docker context ls, or the local engine: unset DOCKER_CONTEXT; docker context use default");
    }
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
            assert_eq!(Endpoint::At(endpoint.to_owned()).host().as_deref(), host, "{endpoint}");
        }
    }
}
