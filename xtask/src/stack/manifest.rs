//! `infrastructure/stacks.toml`, typed: what compose files cannot say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer};

use super::job::Job;
use crate::host::user::Owner;
use crate::report::finding::Problem;
use crate::report::units::Bytes;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What a machine must have.
    pub requirements: Requirements,
    /// What runs by itself.
    #[serde(default, rename = "job")]
    pub jobs: Vec<Job>,
    /// The stacks, in the order in which they start.
    #[serde(rename = "stack")]
    pub stacks: Vec<Definition>,
}

/// What a machine must have.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirements {
    /// The oldest Docker Engine.
    pub engine: semver::Version,
    /// The oldest Compose, of either family, that reads file format 3.8.
    pub compose: semver::Version,
    /// Memory, as a machine is sold.
    pub memory: Bytes,
    /// Free disk where Docker keeps images.
    pub disk: Bytes,
}

/// One stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name and its folder below `infrastructure/docker/`.
    pub name: String,
    /// Shorter words for it.
    pub aliases: Vec<String>,
    /// The service whose image runs the short-lived helper containers.
    pub helper: String,
    /// Disk that its data directories need, free and already used together.
    pub disk: Disk,
    /// The variable with the name of the network that it shares with other stacks.
    pub network: String,
    /// Directories that belong to whoever runs `setup`.
    pub own_directories: Vec<DataDirectory>,
    /// How long the archived log of each service is kept.
    #[serde(default)]
    pub logs: LogBounds,
    /// Pairs of a server's memory bound and its container's.
    #[serde(default)]
    pub memory_pairs: Vec<MemoryPair>,
    /// Variables with a few possible values.
    #[serde(default)]
    pub allowed: Vec<Allowed>,
    /// Its services, in the order in which they are shown.
    #[serde(rename = "service")]
    pub services: Vec<Service>,
}

/// How much disk a stack needs.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Disk {
    /// Always as much.
    Fixed(Bytes),
    /// A multiple of what a variable of `.env` says.
    #[serde(rename_all = "snake_case")]
    Of {
        /// The variable.
        variable: String,
        /// The factor, for what comes on top.
        times: f64,
    },
}

impl Disk {
    /// How much that is with the values that `get` knows.
    ///
    /// # Errors
    /// The words for a variable that is missing or no size.
    pub fn required(&self, get: &dyn Fn(&str) -> Option<String>) -> Result<Bytes, String> {
        match self {
            Self::Fixed(bytes) => Ok(*bytes),
            Self::Of { variable, times } => {
                let size: Result<Bytes, _> = get(variable).unwrap_or_default().parse();
                let Bytes(bytes) = size.map_err(|why| format!("{variable}: {why}"))?;
                Ok(Bytes((bytes as f64 * times) as u64))
            }
        }
    }
}

/// One service of a stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name in the compose file.
    pub name: String,
    /// The image that stands in where no registry can be reached.
    pub offline_image: String,
    /// What `shell` runs inside, through `sh -c`.
    pub shell: String,
    /// Its data directory.
    #[serde(default)]
    pub data: Option<DataDirectory>,
    /// How long its archived log is kept, where that is not as long as the stack's others.
    #[serde(default)]
    pub logs: Option<LogBounds>,
    /// The variables of `.env` that are passwords.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// How it is backed up; not at all where left out.
    #[serde(default)]
    pub backup: Option<BackupMethod>,
    /// What gives the running server the password on stdin, through `sh -c` inside.
    #[serde(default)]
    pub set_password: Option<String>,
    /// Accounts for others that are made in the running server.
    #[serde(default, rename = "account")]
    pub accounts: Vec<Account>,
    /// Files that are made for it alone, and mounted at `/etc/generated`.
    #[serde(default)]
    pub generated: Option<Generated>,
    /// Its configuration in the repository.
    #[serde(default)]
    pub configuration: Option<Configuration>,
    /// Under what it is reached.
    #[serde(default, rename = "endpoint")]
    pub endpoints: Vec<Endpoint>,
    /// What lines of its log mean.
    #[serde(default, rename = "explain")]
    pub explanations: Vec<Explanation>,
}

/// An account that a running server gives to somebody else.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The variable of `.env` with its password.
    pub secret: String,
    /// What makes it or gives it the password on stdin, through `sh -c` inside the server.
    pub script: String,
}

/// Files below `DATA_DIR/generated/<service>`, which only the service may read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// The service's numeric user.
    #[serde(deserialize_with = "some_owner")]
    pub owner: Owner,
    /// Whether it reads them only when it starts.
    #[serde(default)]
    pub restart: bool,
    /// The folder below the stack's own with a `notifications.toml`: the service also gets
    /// `alertmanager.yml`, made of it, and the secrets that it names, in `secrets/`.
    #[serde(default)]
    pub notifications: Option<String>,
    /// The files.
    #[serde(rename = "file")]
    pub files: Vec<GeneratedFile>,
}

/// One generated file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedFile {
    /// Its name.
    pub name: String,
    /// The variable of `.env` with the password that the contents are about.
    #[serde(default)]
    pub secret: Option<String>,
    /// The text; `{plain}`, `{json}`, `{sha256}` and `{bcrypt}` are the password in that form.
    pub contents: String,
    /// The service that the contents are about: without its profile they are an empty list.
    #[serde(default)]
    pub about: Option<String>,
}

/// A folder of configuration that the service sees as it lies in the repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Below the stack's folder.
    pub folder: String,
    /// Where the service sees it.
    pub at: String,
    /// What refuses a broken one, through `sh -c` in the service's image.
    #[serde(default)]
    pub check: Option<String>,
    /// How the running service takes a changed one.
    pub load: Load,
}

/// How a running service takes a changed configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Load {
    /// On SIGHUP; whether and when it did, it says in its metrics
    /// `<metric>_successful` and `<metric>_success_timestamp_seconds`.
    Signal {
        /// What both names begin with.
        metric: String,
    },
    /// When a script inside, through `sh -c`, tells it to.
    Script {
        /// The variable of `.env` with the password that the script gets on stdin.
        secret: String,
        /// The script.
        script: String,
    },
    /// When it is restarted.
    Restart,
}

/// How a service is backed up; a module of `backup/source/` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupMethod {
    /// `pg_basebackup`.
    Postgres,
    /// A background save.
    Redis,
}

/// A directory below `DATA_DIR`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataDirectory {
    /// Its path below `DATA_DIR`.
    pub path: String,
    /// Its numeric owner; whoever runs `setup` where none is stated.
    #[serde(default, deserialize_with = "owner")]
    pub owner: Option<Owner>,
    /// Its mode.
    #[serde(deserialize_with = "mode")]
    pub mode: u32,
    /// How large it may become.
    #[serde(default)]
    pub quota: Option<Disk>,
    /// What keeps it below its quota, where something does; elsewhere it is only watched.
    #[serde(default)]
    pub enforced_by: Option<String>,
}

/// How long the archived log of a service is kept; the oldest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogBounds {
    /// How many days.
    pub days: u32,
    /// How much, packed.
    pub size: Bytes,
}

/// A month, as long as it fits.
impl Default for LogBounds {
    fn default() -> Self {
        Self { days: 30, size: Bytes(1 << 30) }
    }
}

/// A server's own memory bound must leave room below its container's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryPair {
    /// The variable with the server's bound.
    pub server: String,
    /// The variable with the container's.
    pub container: String,
    /// How many times the server's bound the container's must be at least.
    pub ratio: f64,
    /// What needs the room between.
    pub reason: String,
}

/// A variable that has a few possible values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// The variable.
    pub variable: String,
    /// The values, the usual one first.
    pub values: Vec<String>,
}

/// Under what a service is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// What it is for.
    pub name: String,
    /// Its URL; `${HOST}` is the address of the published ports, other variables are `.env`'s.
    /// The scheme decides how it is asked whether it answers.
    pub url: String,
    /// What else than an answer it takes to be ready.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// What is asked for to see whether it answers, where that is not the URL's own path.
    #[serde(default)]
    pub probe_path: Option<String>,
    /// The variable of `urls --export`.
    pub variable: String,
}

/// What must hold before a service counts as ready, beyond an answer.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Every rule is loaded, the stack's own targets are up, an AlertManager is known.
    Prometheus,
    /// A login succeeds, every dashboard is listed, every datasource answers.
    Grafana,
}

/// What a line of a service's log means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// Part of the line.
    pub contains: String,
    /// What it means.
    pub means: String,
    /// What mends it; `{stack}` stands for the words that mean the stack, such as `dev`.
    mend: String,
}

impl Definition {
    /// The shortest word for it.
    pub fn short(&self) -> &str {
        self.aliases.first().unwrap_or(&self.name)
    }
}

impl Explanation {
    /// What mends it, for the stack that a user calls `short`.
    pub fn mend(&self, short: &str) -> String {
        self.mend.replace("{stack}", short)
    }
}

impl Manifest {
    /// Reads the file below the repository's root.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense; the error shows the line.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join("infrastructure/stacks.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let manifest: Self = toml::from_str(&text).map_err(|error| {
            Problem::failed(
                "manifest.malformed",
                format!("{} is malformed: {error}", path.display()),
            )
            .mend("correct the line, then run `cargo xtask check`")
        })?;
        for stack in &manifest.stacks {
            if stack.services.iter().all(|service| service.name != stack.helper) {
                return Err(Problem::failed(
                    "manifest.malformed",
                    format!(
                        "{}: stack `{}`: helper `{}` is none of its services",
                        path.display(),
                        stack.name,
                        stack.helper
                    ),
                )
                .into());
            }
        }
        Ok(manifest)
    }

    /// The stacks that `word` means: a name, an alias or `all`.
    ///
    /// # Errors
    /// A usage problem that lists what there is.
    pub fn select(&self, word: &str) -> Result<Vec<&Definition>> {
        if word == "all" {
            return Ok(self.stacks.iter().collect());
        }
        let is_meant = |stack: &&Definition| {
            stack.name == word || stack.aliases.iter().any(|alias| alias == word)
        };
        match self.stacks.iter().find(is_meant) {
            Some(stack) => Ok(vec![stack]),
            None => {
                let words = self.stacks.iter().map(Definition::short);
                let words: Vec<_> = words.chain(["all"]).collect();
                Err(Problem::usage("stack.unknown", format!("there is no stack `{word}`"))
                    .mend(format!("one of: {}", words.join(", ")))
                    .into())
            }
        }
    }
}

fn owner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Owner>, D::Error> {
    some_owner(deserializer).map(Some)
}

fn some_owner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Owner, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    u32::from_str_radix(&text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no octal mode such as 0700")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Manifest> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("infrastructure")).unwrap();
        fs::write(folder.path().join("infrastructure/stacks.toml"), text).unwrap();
        Manifest::load(folder.path())
    }

    #[test]
    fn a_malformed_file_is_refused_with_its_line() {
        let shipped = include_str!("../../../infrastructure/stacks.toml");
        assert!(load(shipped).is_ok());
        for (from, to, expected) in [
            ("mode = \"0700\"", "mode = \"rwx\"", "`rwx` is no octal mode"),
            ("owner = \"999:999\"", "owner = \"postgres\"", "no numeric owner"),
            ("memory = \"4GB\"", "memory = \"lots\"", "no size such as"),
            ("[requirements]", "[requirements]\ncores = 2", "unknown field `cores`"),
            (
                "helper = \"redis\"",
                "helper = \"rediss\"",
                "helper `rediss` is none of its services",
            ),
        ] {
            assert!(shipped.contains(from), "{from}");
            let error = load(&shipped.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("line") || error.contains("helper"), "{error}");
        }
    }
}
