//! A stack as data: its entry in stacks.toml, its compose file and its `.env`.

pub mod compose_file;
pub mod dotenv;
pub mod env;
pub mod job;
pub mod manifest;
pub mod missing;
pub mod published;
pub mod template;
mod unclear;
pub mod url;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use self::compose_file::ComposeFile;
use self::env::Env;
use self::manifest::{Archiving, DataDirectory, Definition, LogBounds, Service};
use self::url::Url;
use crate::docker::compose;
use crate::docker::endpoint::Endpoint;
use crate::host::ports;
use crate::host::user::{self, Owner};
use crate::report::advice::{On, Xtask};
use crate::report::finding::Problem;
use crate::secret::Secret;

/// Everything known of a stack without asking the engine.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its entry in stacks.toml.
    pub definition: Definition,
    /// Its folder, which holds the compose file.
    pub folder: PathBuf,
    /// What its compose file says.
    pub compose: ComposeFile,
    /// What its `.env` says.
    pub env: Env,
    /// What the command line said of it.
    overrides: Overrides,
}

/// How the command line changes what is loaded.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--project`: another copy beside the usual one.
    pub project: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

impl Overrides {
    /// The compose file that a person puts on top of ours. What was meant for the usual copy must
    /// not act on another.
    pub fn compose_file(&self) -> String {
        match &self.project {
            Some(project) => format!("docker-compose.override.{project}.yml"),
            None => "docker-compose.override.yml".to_owned(),
        }
    }
}

impl Stack {
    /// Reads the stack's files below `root`.
    ///
    /// # Errors
    /// When the compose file or `.env` cannot be read or makes no sense.
    pub fn load(root: &Path, definition: &Definition, overrides: &Overrides) -> Result<Self> {
        let folder = root.join("infrastructure/docker").join(&definition.name);
        let compose = ComposeFile::load(&folder, Some(&overrides.compose_file()))?;
        let name = match &overrides.project {
            Some(project) => format!(".env.{project}"),
            None => ".env".to_owned(),
        };
        let mut env = Env::load(folder.join(name), compose.defaults())?;
        if let Some(project) = &overrides.project {
            env.preset("COMPOSE_PROJECT_NAME", format!("{project}-{}", definition.name));
            env.preset(&definition.network, format!("{project}-metrics"));
            if env.text().is_none() {
                preset_ports(&format!("{project}-{}", definition.name), &compose, &mut env)?;
            }
        }
        let stack = Self {
            definition: definition.clone(),
            folder,
            compose,
            env,
            overrides: overrides.clone(),
        };
        stack.hide_secrets();
        stack.with_data_dir(overrides)
    }

    /// Every variable that holds a secret.
    pub fn secrets(&self) -> Vec<&str> {
        let services = self.definition.services.iter();
        services.flat_map(|service| &service.secrets).map(String::as_str).collect()
    }

    /// From now on no output shows them.
    fn hide_secrets(&self) {
        for name in self.secrets() {
            let _ = self.env.get(name).map(Secret::new);
        }
    }

    fn with_data_dir(mut self, overrides: &Overrides) -> Result<Self> {
        if let Some(wanted) = &overrides.data_dir {
            let wanted = wanted.to_string_lossy().into_owned();
            if let Some(present) = self.env.in_file("DATA_DIR").filter(|present| *present != wanted)
            {
                return Err(Problem::usage(
                    "data-dir.conflict",
                    format!(
                        "--data-dir is {wanted}, but {} says DATA_DIR={present}",
                        self.env.path().display()
                    ),
                )
                .mend("change it in the file, or make a second copy with --project NAME")
                .into());
            }
            self.env.preset("DATA_DIR", wanted);
        } else if self.env.in_file("DATA_DIR").is_none() {
            let below_home = || data_below_home(cfg!(target_os = "linux"), user::home());
            let other = if env::shell("DATA_DIR").is_none() { below_home() } else { None };
            let usual = || self.env.get("DATA_DIR").unwrap_or_else(|| "/data".to_owned());
            match (&overrides.project, other) {
                (Some(project), other) => {
                    let usual = other.unwrap_or_else(usual);
                    let wanted = format!("{}-{project}", usual.trim_end_matches('/'));
                    self.env.preset("DATA_DIR", wanted);
                }
                (None, Some(other)) => self.env.preset("DATA_DIR", other),
                (None, None) => {}
            }
        }
        Ok(self)
    }

    /// Its name, such as `development`.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// The word that a user types for it: `dev`.
    pub fn short(&self) -> &str {
        self.definition.short()
    }

    /// The stack and its copy, for a command line that acts on it.
    pub fn on(&self) -> On {
        let Overrides { project, data_dir } = &self.overrides;
        // Once the file has it, it need not be said again.
        let data_dir = data_dir.as_deref().filter(|_| self.env.in_file("DATA_DIR").is_none());
        On::new(self.definition.short(), project.as_deref(), data_dir)
    }

    /// The name of a file: `stem.ending` for the usual copy, and `stem.COPY.ending` for one
    /// beside it, which must not act on what was meant for the usual one.
    pub fn own_file(&self, stem: &str, ending: &str) -> String {
        match &self.overrides.project {
            Some(copy) => format!("{stem}.{copy}.{ending}"),
            None => format!("{stem}.{ending}"),
        }
    }

    /// The name of the compose file that a person may put on top of ours.
    pub fn override_name(&self) -> String {
        self.overrides.compose_file()
    }

    /// Its `.env` from the repository's root.
    pub fn env_file(&self) -> String {
        let name = self.env.path().file_name().unwrap_or_default().to_string_lossy();
        format!("infrastructure/docker/{}/{name}", self.name())
    }

    /// The compose project, under which the engine knows its containers; without a name in `.env`
    /// the folder's, as Compose has it.
    pub fn project(&self) -> String {
        self.env.get("COMPOSE_PROJECT_NAME").unwrap_or_else(|| self.definition.name.clone())
    }

    /// Where all data directories lie.
    pub fn data_dir(&self) -> PathBuf {
        let dir = self.env.get("DATA_DIR").unwrap_or_else(|| "/data".to_owned());
        // Compose reads a relative path from its own folder.
        self.folder.join(dir)
    }

    /// Where the repository keeps locks and what is known of an engine elsewhere.
    pub fn state_folder(&self) -> PathBuf {
        self.folder.ancestors().nth(2).unwrap_or(&self.folder).join(".state")
    }

    /// The full path of a service's data directory.
    pub fn data_path(&self, directory: &DataDirectory) -> PathBuf {
        self.data_dir().join(&directory.path)
    }

    /// The service called `name`.
    ///
    /// # Errors
    /// A usage problem that lists the services there are.
    pub fn service(&self, name: &str) -> Result<&Service> {
        self.definition.services.iter().find(|service| service.name == name).ok_or_else(|| {
            let known: Vec<_> =
                self.definition.services.iter().map(|service| service.name.as_str()).collect();
            Problem::usage(
                "service.unknown",
                format!("the {} stack has no service `{name}`", self.name()),
            )
            .mend(format!("one of: {}", known.join(", ")))
            .into()
        })
    }

    /// How long the logs of a service are kept, also of one that is no longer there.
    pub fn log_bounds(&self, service: &str) -> LogBounds {
        match self.archiving(service) {
            Some(Archiving::Kept(bounds)) => bounds,
            _ => self.definition.logs,
        }
    }

    /// Whether `rotate-logs` archives the log of a service.
    pub fn archives_log(&self, service: &str) -> bool {
        self.archiving(service) != Some(Archiving::NotArchived)
    }

    fn archiving(&self, service: &str) -> Option<Archiving> {
        self.definition.services.iter().find(|known| known.name == service)?.logs
    }

    /// The services that start with the profiles of `.env`.
    pub fn active(&self) -> Vec<&Service> {
        let profiles = self.env.in_file("COMPOSE_PROFILES").unwrap_or_default();
        let profiles: Vec<_> = profiles.split(',').map(str::trim).collect();
        let is_active = |service: &&Service| self.compose.is_active(&service.name, &profiles);
        self.definition.services.iter().filter(is_active).collect()
    }

    /// The network that it shares with other stacks.
    ///
    /// # Errors
    /// When its variable has no value.
    pub fn network(&self) -> Result<String> {
        let variable = &self.definition.network;
        self.env.get(variable).with_context(|| format!("{variable} has no value"))
    }

    /// The variables that say which containers, data directory and network are the stack's.
    pub fn place(&self) -> [&str; 3] {
        ["COMPOSE_PROJECT_NAME", "DATA_DIR", &self.definition.network]
    }

    /// The variables of `.env` that xtask reads, beside those of the compose files.
    pub fn other_variables(&self) -> impl Iterator<Item = &str> {
        let services = self.definition.services.iter();
        let secrets = services.flat_map(|service| &service.secrets).map(String::as_str);
        secrets.chain(["COMPOSE_PROJECT_NAME"])
    }

    /// What the service's container runs, with the values of `.env`; nothing where its image says.
    ///
    /// # Errors
    /// When a variable is missing, or the compose file is broken there.
    pub fn command(&self, service: &Service) -> Result<Vec<String>> {
        self.compose.command(&service.name, &self.env)
    }

    /// Bytes of memory that the service's container may use; 0 for any number.
    ///
    /// # Errors
    /// When a variable is missing, or the compose file has no size there.
    pub fn memory_limit(&self, service: &Service) -> Result<u64> {
        Ok(self.compose.memory_limit(&service.name, &self.env)?.unwrap_or(0))
    }

    /// The image that `service` runs on.
    ///
    /// # Errors
    /// When the compose file does not know the service, or a variable is missing.
    pub fn image(&self, service: &Service) -> Result<String> {
        self.compose.image(&service.name, &self.env)
    }

    /// What Compose works on.
    pub fn compose_project(&self) -> compose::Project {
        let presets = self.env.presets().keys();
        let preset = |name: &String| (name.clone(), self.env.get(name).unwrap_or_default());
        compose::Project {
            name: self.project(),
            folder: self.folder.clone(),
            files: self.compose.paths().to_vec(),
            env_file: self.env.path().to_owned(),
            presets: presets.map(preset).collect(),
        }
    }

    /// The image of each service that `up` starts; one whose variable makes no sense is left out.
    pub fn images(&self) -> BTreeMap<&str, String> {
        let services = self.active().into_iter();
        services
            .filter_map(|service| Some((service.name.as_str(), self.image(service).ok()?)))
            .collect()
    }

    /// Whether `service` runs on an offline image.
    pub fn is_offline(&self, service: &Service) -> bool {
        self.image(service).is_ok_and(|image| service.is_offline_image(&image))
    }

    /// The address that the published ports are bound to.
    pub fn bind_address(&self) -> IpAddr {
        let address = self.env.get("BIND_ADDRESS").and_then(|text| text.parse().ok());
        address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// The host under which a program on this machine reaches the published ports: with a remote
    /// engine that machine's, unless they are bound to its loopback, which only a tunnel from
    /// this one reaches.
    pub fn reach_host(&self) -> String {
        match self.bind_address() {
            address if address.is_unspecified() => {
                Endpoint::current().host().unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string())
            }
            IpAddr::V6(address) => format!("[{address}]"),
            address => address.to_string(),
        }
    }

    /// The endpoint's URL with the values of `.env`, each encoded as a URL wants it.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn url(&self, template: &str) -> Result<Url> {
        let host = self.reach_host();
        let text = template::interpolate(template, &|name| match name {
            "HOST" => Some(host.clone()),
            name => self.env.get(name).map(|value| url::encode(&value)),
        });
        text.map_err(|missing| self.incomplete(&format!("{missing:#}")))?.parse()
    }

    /// What ends a command that needs a value which `.env` does not have.
    pub fn incomplete(&self, what: &str) -> Problem {
        if self.env.text().is_none() {
            return Problem::prerequisite(
                "env.missing",
                format!("{} has not been started yet, so it has no passwords", self.name()),
            )
            .mend(Xtask::Up(self.on()));
        }
        Problem::prerequisite("env.incomplete", format!("{}: {what}", self.env_file()))
            .mend(Xtask::EnvInit(self.on()))
    }

    /// The owner that a data directory should have: the stated one, or whoever runs us.
    pub fn owner(directory: &DataDirectory) -> Owner {
        directory.owner.unwrap_or_else(user::owner)
    }
}

/// The name of the data directory below the home folder.
pub const DATA_BELOW_HOME: &str = "case-interview-data";

/// Where data lies on systems other than Linux, unless somebody chose: macOS has no place for
/// `/data`, and virtual machines with an engine show it the home folder.
fn data_below_home(is_linux: bool, home: Option<PathBuf>) -> Option<String> {
    let home = home.filter(|_| !is_linux)?;
    Some(home.join(DATA_BELOW_HOME).to_string_lossy().into_owned())
}

/// A copy that has no env file yet gets ports that are free, the same ones whenever it is asked.
fn preset_ports(project: &str, compose: &ComposeFile, env: &mut Env) -> Result<()> {
    let published = compose.published_ports(env)?;
    let free = ports::free_for(project, published.len()).context("looking for free ports")?;
    for (published, port) in published.into_iter().zip(free) {
        if let Some(variable) = published.variable {
            env.preset(&variable, port.to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elsewhere_than_on_linux_data_lies_below_the_home_folder() {
        let home = || Some(PathBuf::from("/Users/me"));
        let expected = Some("/Users/me/case-interview-data".to_owned());
        assert_eq!(data_below_home(false, home()), expected);
        assert_eq!(data_below_home(true, home()), None);
        assert_eq!(data_below_home(false, None), None);
    }
}
