//! Facts that several checks need, each asked once, by whoever needs it first.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use crate::context::Context;
use crate::docker::compose::Compose;
use crate::docker::container::{self, Container};
use crate::docker::endpoint::Endpoint;
use crate::docker::engine::Engine;
use crate::docker::image;
use crate::docker::location::Location;
use crate::report::finding::Finding;
use crate::stack::Stack;
use crate::stack::manifest::Requirements;

/// Nothing can be asked, since no engine answers. A check that ends with it finds nothing:
/// that there is no engine is said once.
#[derive(Debug)]
pub(super) struct NoEngine;

impl fmt::Display for NoEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no Docker engine answers")
    }
}

impl std::error::Error for NoEngine {}

/// What the checks know.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    cx: &'a Context,
    /// The stacks that are looked at.
    pub(super) stacks: &'a [Stack],
    engine: OnceLock<Result<&'static Engine>>,
    composes: OnceLock<Vec<Compose>>,
    containers: OnceLock<Result<Vec<Container>>>,
    images: OnceLock<Result<BTreeSet<String>>>,
}

impl<'a> Facts<'a> {
    /// Nothing is asked yet.
    pub(super) fn new(cx: &'a Context, stacks: &'a [Stack]) -> Self {
        Self {
            cx,
            stacks,
            engine: OnceLock::new(),
            composes: OnceLock::new(),
            containers: OnceLock::new(),
            images: OnceLock::new(),
        }
    }

    /// What stacks.toml requires of a machine.
    pub(super) fn requirements(&self) -> &Requirements {
        &self.cx.manifest.requirements
    }

    /// The context, for folders.
    pub(super) fn context(&self) -> &Context {
        self.cx
    }

    /// `path` from the repository's root, where it is below.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.cx.root).unwrap_or(path).display().to_string()
    }

    /// `finding` with the line of `.env` that gives `name` its value.
    pub(super) fn place(&self, stack: &Stack, name: &str, finding: Finding) -> Finding {
        // Without a file the values are the example's.
        if stack.env.text().is_none() {
            return if finding.subject.is_some() { finding } else { finding.about(stack.name()) };
        }
        let line = stack.env.assignment(name).map(|assignment| assignment.line);
        finding.at(self.shown(stack.env.path()), line)
    }

    /// The engine, or why there is none.
    pub(super) fn engine_or_why(&self) -> &Result<&'static Engine> {
        self.engine.get_or_init(Engine::ask)
    }

    /// The engine.
    ///
    /// # Errors
    /// [`NoEngine`].
    pub(super) fn engine(&self) -> Result<&'static Engine> {
        self.engine_or_why().as_ref().map(|engine| *engine).map_err(|_| NoEngine.into())
    }

    /// Where the engine is. In doubt this machine is meant.
    pub(super) fn engine_place(&self) -> Location {
        match self.engine_or_why() {
            Ok(engine) => Location::of(engine, Endpoint::current()),
            Err(_) if Endpoint::current().is_remote() => Location::Remote,
            Err(_) => Location::Here,
        }
    }

    /// Every Compose that was found.
    pub(super) fn composes(&self) -> &[Compose] {
        self.composes.get_or_init(|| Compose::discover().unwrap_or_default())
    }

    /// Every container on the engine.
    ///
    /// # Errors
    /// [`NoEngine`], or what else went wrong.
    pub(super) fn containers(&self) -> Result<&[Container]> {
        match self.containers.get_or_init(container::all) {
            Ok(containers) => Ok(containers),
            Err(error) => Err(self.why(error)),
        }
    }

    /// The containers of `stack`.
    ///
    /// # Errors
    /// As [`Facts::containers`].
    pub(super) fn containers_of(&self, stack: &Stack) -> Result<Vec<Container>> {
        let project = stack.project();
        let is_its = |container: &&Container| container.project() == Some(&project);
        Ok(self.containers()?.iter().filter(is_its).cloned().collect())
    }

    /// Whether a container of `stack` runs `service`.
    ///
    /// # Errors
    /// As [`Facts::containers`].
    pub(super) fn is_running(&self, stack: &Stack, service: &str) -> Result<bool> {
        Ok(container::running(&self.containers_of(stack)?, service).is_some())
    }

    /// Which images of the stacks the engine has.
    ///
    /// # Errors
    /// [`NoEngine`], or what else went wrong.
    pub(super) fn images(&self) -> Result<&BTreeSet<String>> {
        let ask = || {
            let wanted: BTreeSet<_> =
                self.stacks.iter().flat_map(|stack| stack.images().into_values()).collect();
            let found = image::find(wanted.iter().map(String::as_str))?;
            Ok(found.into_keys().map(str::to_owned).collect())
        };
        match self.images.get_or_init(ask) {
            Ok(images) => Ok(images),
            Err(error) => Err(self.why(error)),
        }
    }

    fn why(&self, error: &anyhow::Error) -> anyhow::Error {
        match self.engine() {
            Ok(_) => anyhow!("{error:#}"),
            Err(no_engine) => no_engine,
        }
    }
}
