//! Who uses the data of a stack: an engine and a project on it. A recorded user counts until it was
//! seen to be gone.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::docker::container;
use crate::docker::endpoint::Endpoint;
use crate::docker::engine::Engine;
use crate::host::followed;
use crate::names::ProjectName;
use crate::stack::Stack;

/// Who uses the data of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    engine: EngineKey,
    /// Where the client found the engine.
    endpoint: String,
    /// The machine that the endpoint was found from; none where it says so little of itself.
    machine: Option<String>,
    project: ProjectName,
}

/// What tells an engine from others. The id alone does not: before version 24, engines of one
/// machine have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EngineKey {
    id: String,
    root: String,
    /// Its machine's name.
    on: String,
}

/// What has become of a recorded user.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is us.
    Ours,
    /// It has gone, and why we know.
    Gone(String),
    /// It is there, or nobody knows.
    InUse(String),
}

impl User {
    /// Who `stack` is here and now.
    pub(super) fn now(stack: &Stack) -> Result<Self> {
        Ok(Self {
            engine: EngineKey::of(Engine::ask()?),
            endpoint: Endpoint::current().to_string(),
            machine: machine(),
            project: stack.project().as_str().try_into()?,
        })
    }

    /// What has become of it, seen by `us`.
    pub(super) fn fate(&self, us: &Self) -> Result<Fate> {
        let project = &self.project;
        if self.engine == us.engine {
            if self.project == us.project {
                return Ok(Fate::Ours);
            }
            let names = container::of_project(project)?;
            let names = names.iter().map(|container| container.name().to_owned()).collect();
            return Ok(self.by_containers(names));
        }
        let place = format!("the engine at {} on {}", self.endpoint, self.engine.on);
        let Some(socket) = self.socket().filter(|_| self.machine == us.machine) else {
            return Ok(Fate::InUse(format!(
                "the project {project} was started on {place}, which cannot be asked from here"
            )));
        };
        if self.endpoint == us.endpoint {
            return Ok(Fate::Gone(format!("{place} is another one now")));
        }
        match Engine::ask_at(socket) {
            Ok(engine) if EngineKey::of(&engine) == self.engine => {
                let names = container::names_at(socket, project)
                    .with_context(|| format!("asking {place}"))?;
                Ok(self.by_containers(names))
            }
            Ok(_) => Ok(Fate::Gone(format!("{place} is another one now"))),
            Err(_) => Ok(Fate::InUse(format!(
                "the project {project} was started on {place}, which does not answer; its servers may run on without it"
            ))),
        }
    }

    fn by_containers(&self, names: Vec<String>) -> Fate {
        let Self { project, endpoint, .. } = self;
        match names.as_slice() {
            [] => Fate::Gone(format!(
                "the project {project} has no container on the engine at {endpoint} any more"
            )),
            names => Fate::InUse(format!(
                "the project {project} on the engine at {endpoint} has {}",
                names.join(", ")
            )),
        }
    }

    /// Where it can be asked, if that is on this machine.
    fn socket(&self) -> Option<&Path> {
        self.endpoint.strip_prefix("unix://").map(Path::new)
    }
}

impl EngineKey {
    fn of(engine: &Engine) -> Self {
        Self {
            id: engine.id.clone(),
            root: engine.docker_root_dir.clone(),
            on: engine.name.clone(),
        }
    }
}

/// What this machine is known by (`man machine-id`).
fn machine() -> Option<String> {
    let id = followed::text(Path::new("/etc/machine-id")).ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(root: &str, endpoint: &str, machine: &str, project: &str) -> User {
        let engine = EngineKey { id: "A".into(), root: root.into(), on: "here".into() };
        let machine = Some(machine.to_owned());
        User { engine, endpoint: endpoint.into(), machine, project: project.try_into().unwrap() }
    }

    #[test]
    fn a_user_that_cannot_be_asked_is_there() {
        let us = user("/var/lib/docker", "unix:///nowhere/docker.sock", "m", "app");
        assert_eq!(us.fate(&us).unwrap(), Fate::Ours);
        let silent = user("/other", "unix:///nowhere/other.sock", "m", "app");
        assert!(matches!(silent.fate(&us).unwrap(), Fate::InUse(_)));
        for elsewhere in [
            user("/other", "unix:///nowhere/docker.sock", "n", "app"),
            user("/other", "ssh://server", "m", "app"),
        ] {
            let Fate::InUse(found) = elsewhere.fate(&us).unwrap() else { panic!("{elsewhere:?}") };
            assert!(found.contains("cannot be asked from here"), "{found}");
        }
        let moved = user("/other", "unix:///nowhere/docker.sock", "m", "app");
        assert!(matches!(moved.fate(&us).unwrap(), Fate::Gone(_)), "its socket is ours now");
    }
}
