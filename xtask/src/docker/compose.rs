//! Compose, either family: `docker compose` (v2 and later) and `docker-compose` (1.x or 2.x).

mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::container::Container;
use super::endpoint::Endpoint;
use super::image;
use super::plugin::compose_plugin;
use super::version::parse_version;
use crate::process::{Cmd, check_interrupted};
use crate::report::advice::Xtask;
use crate::report::finding::Problem;

/// How it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `docker compose`.
    Plugin,
    /// `docker-compose`.
    Standalone,
}

/// A Compose that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose {
    call: Call,
    /// Its version.
    pub version: semver::Version,
}

impl std::fmt::Display for Compose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.call {
            Call::Plugin => "docker compose",
            Call::Standalone => "docker-compose",
        };
        write!(f, "{name} {}", self.version)
    }
}

/// What Compose works on.
#[derive(Debug, Clone)]
pub struct Project {
    /// Under which the engine knows its containers.
    pub name: String,
    /// Where relative paths begin.
    pub folder: PathBuf,
    /// The compose files, each later one on top.
    pub files: Vec<PathBuf>,
    /// Where variables have their values.
    pub env_file: PathBuf,
    /// Variables that have these values, whatever the shell and the file say.
    pub presets: BTreeMap<String, String>,
}

/// Longest wait for Compose to read its files; 1.x takes half a second at best.
const ANSWER: Duration = Duration::from_secs(60);

/// Seconds that 1.x waits for an answer of the engine, 60 if not told: an engine that keeps images in
/// plain folders copies one for each container that it makes.
const PATIENCE: (&str, &str) = ("COMPOSE_HTTP_TIMEOUT", "600");

impl Compose {
    /// Every Compose on this machine, the preferred one first.
    ///
    /// # Errors
    /// When the user interrupts.
    pub fn discover() -> Result<Vec<Self>> {
        let (standalone, plugin) = std::thread::scope(|scope| {
            let standalone = scope.spawn(Self::standalone);
            let plugin = Self::plugin();
            (standalone.join().ok().flatten(), plugin)
        });
        // What was cut off has not been missing.
        check_interrupted()?;
        Ok(plugin.into_iter().chain(standalone).collect())
    }

    /// The one to use for a stack with these containers; looks for no more than it needs to know
    /// that.
    ///
    /// # Errors
    /// As [`Compose::choose`].
    pub fn to_use(containers: &[Container], oldest: &semver::Version) -> Result<Self> {
        if let Some(plugin) = Self::plugin() {
            let made_by = made_by(containers);
            if plugin.version >= *oldest && made_by.is_none_or(|other| other == plugin.version) {
                return Ok(plugin);
            }
        }
        Self::choose(&Self::discover()?, containers, oldest)
    }

    fn plugin() -> Option<Self> {
        let version = compose_plugin()?.clone();
        Some(Self { call: Call::Plugin, version })
    }

    fn standalone() -> Option<Self> {
        let asked = base(Call::Standalone).args(["version", "--short"]).time_limit(ANSWER);
        let said = asked.output().ok()?;
        let version = said.success().then(|| parse_version(&said.stdout).ok())??;
        Some(Self { call: Call::Standalone, version })
    }

    /// The one to use: the flavour that made `containers` where there are any, since another
    /// would recreate them all; else the plugin.
    ///
    /// # Errors
    /// A prerequisite problem when there is none, it is too old, or the containers' is missing.
    pub fn choose(
        found: &[Self],
        containers: &[Container],
        oldest: &semver::Version,
    ) -> Result<Self> {
        let fit: Vec<_> = found.iter().filter(|compose| compose.version >= *oldest).collect();
        let Some(preferred) = fit.first() else {
            return Err(none_fit(found, oldest).into());
        };
        let Some(made_by) = made_by(containers) else { return Ok((*preferred).clone()) };
        let same_family = |compose: &&&Self| compose.is_v1() == (made_by.major < 2);
        let same =
            fit.iter().filter(|compose| compose.version == made_by).chain(&fit).find(same_family);
        same.map(|compose| (*compose).clone()).ok_or_else(|| {
            Problem::prerequisite(
                "compose.other-flavour",
                format!("the containers that are there were made by Compose {made_by}, which is no longer found; {preferred} would recreate them all"),
            )
            .mend(format!("{}, then the command again (the data stays)", Xtask::DownAll))
            .into()
        })
    }

    /// Whether it is docker-compose 1.x.
    fn is_v1(&self) -> bool {
        self.version.major < 2
    }

    /// A command on `project`, before its sub-command.
    pub fn on(&self, project: &Project) -> Cmd {
        let mut cmd = base(self.call)
            .args(["--project-name", &project.name])
            .arg("--project-directory")
            .arg(&project.folder);
        for file in &project.files {
            cmd = cmd.arg("--file").arg(file);
        }
        cmd = cmd.arg("--env-file").arg(&project.env_file);
        // The user's would add files, profiles or another project.
        for (name, _) in std::env::vars() {
            let is_ours = name == PATIENCE.0 || project.presets.contains_key(&name);
            if name.starts_with("COMPOSE_") && !is_ours {
                cmd = cmd.without_env(&name);
            }
        }
        cmd = cmd.env(PATIENCE.0, PATIENCE.1);
        for (name, value) in &project.presets {
            cmd = cmd.env(name, value);
        }
        cmd
    }

    /// The command that starts what is not running as configured.
    pub fn up(&self, project: &Project) -> Cmd {
        self.on(project).args(["up", "--detach", "--remove-orphans"])
    }

    /// The containers that `up` would replace or remove. Docker-compose may fail to
    /// (`KeyError: 'ContainerConfig'` of 1.29.2 on engines that no longer report it), and every
    /// Compose loses what they have logged. `images` are the services' references.
    ///
    /// # Errors
    /// When the compose file cannot be read.
    pub fn outdated<'a>(
        &self,
        project: &Project,
        images: &BTreeMap<&str, String>,
        containers: &'a [Container],
    ) -> Result<Vec<&'a Container>> {
        if containers.is_empty() {
            return Ok(Vec::new());
        }
        let text = self.on(project).args(["config", "--hash", "*"]).time_limit(ANSWER).read()?;
        let hashes: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let is_outdated = |container: &&Container| {
            container.service().is_some_and(|service| {
                hashes.get(service).copied() != container.config_hash()
                    || images.get(service).is_some_and(|image| !same_image(image, container))
            })
        };
        Ok(containers.iter().filter(is_outdated).collect())
    }
}

fn made_by(containers: &[Container]) -> Option<semver::Version> {
    containers.iter().find_map(|container| parse_version(container.compose_version()?).ok())
}

/// Whether `container` is on what `reference` names now, or nothing yet.
fn same_image(reference: &str, container: &Container) -> bool {
    image::get(reference).is_ok_and(|image| image.is_none_or(|image| image.id == container.image))
}

fn base(call: Call) -> Cmd {
    match call {
        Call::Plugin => Cmd::new("docker").arg("compose"),
        Call::Standalone => {
            let cmd = Cmd::new("docker-compose");
            match Endpoint::to_export() {
                Some(endpoint) => cmd.env("DOCKER_HOST", endpoint),
                None => cmd,
            }
        }
    }
}

fn none_fit(found: &[Compose], oldest: &semver::Version) -> Problem {
    let message = match found.first() {
        None => "neither `docker compose` nor `docker-compose` is found".to_owned(),
        Some(compose) => format!("{compose} is too old; {oldest} or later can read our files"),
    };
    let id = if found.is_empty() { "compose.missing" } else { "compose.version" };
    Problem::prerequisite(id, message).mend(format!(
        "install the Compose plugin (docs.docker.com/compose/install); on Debian and Ubuntu: {}",
        Xtask::DoctorFix
    ))
}
