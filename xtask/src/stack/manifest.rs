//! `infrastructure/stacks.toml`, typed: what compose files cannot say.

mod service;

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

pub use self::service::*;
use super::job::Job;
use crate::host::followed;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::units::Bytes;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Directories that belong to whoever runs `setup`; each stack gets them.
    own_directories: Vec<DataDirectory>,
    /// What lines of any service's log mean; each service gets them after its own.
    #[serde(default, rename = "explain")]
    explanations: Vec<Explanation>,
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
    #[serde(skip)]
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
    /// The variable that it depends on.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Fixed(_) => None,
            Self::Of { variable, .. } => Some(variable),
        }
    }

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

impl Definition {
    /// The shortest word for it.
    pub fn short(&self) -> &str {
        self.aliases.first().unwrap_or(&self.name)
    }
}

impl Manifest {
    /// Reads the file below the repository's root.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense; the error shows the line.
    pub fn load(root: &Path) -> Result<Self> {
        let path = root.join("infrastructure/stacks.toml");
        let text = followed::text(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut manifest: Self = toml::from_str(&text).map_err(|error| {
            Problem::failed(
                "manifest.malformed",
                format!("{} is malformed: {error}", path.display()),
            )
            .mend(format!("correct the line, then: {}", Xtask::Check))
        })?;
        for stack in &mut manifest.stacks {
            stack.own_directories.clone_from(&manifest.own_directories);
            for service in &mut stack.services {
                service.explanations.extend(manifest.explanations.iter().cloned());
            }
            if stack.services.iter().all(|service| service.name != stack.helper) {
                return Err(Problem::failed(
                    "manifest.malformed",
                    format!(
                        "{}: stack `{}`: helper `{}` is not one of its services",
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
            None => Err(Problem::usage("stack.unknown", format!("there is no stack `{word}`"))
                .mend(match self.only_with(word) {
                    Some(stack) => format!("it is a service of {}", stack.short()),
                    None => format!("one of: {}", self.words().join(", ")),
                })
                .into()),
        }
    }

    /// The words for the stacks, and for all.
    pub fn words(&self) -> Vec<&str> {
        self.stacks.iter().map(Definition::short).chain(["all"]).collect()
    }

    /// The one stack that has a service called `service`; none where that is a word for a stack.
    pub fn only_with(&self, service: &str) -> Option<&Definition> {
        let has = |stack: &&Definition| stack.services.iter().any(|one| one.name == service);
        let mut with = self.stacks.iter().filter(has);
        let is_stack = |stack: &Definition| {
            stack.name == service || stack.aliases.iter().any(|alias| alias == service)
        };
        match (with.next(), with.next()) {
            (Some(only), None) if !self.stacks.iter().any(is_stack) => Some(only),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
            ("mode = \"0700\"", "mode = \"rwx\"", "`rwx` is not an octal mode"),
            ("owner = \"999:999\"", "owner = \"postgres\"", "is not a numeric owner"),
            ("memory = \"4GB\"", "memory = \"lots\"", "is not a size such as"),
            ("logs = \"not-archived\"", "logs = \"never\"", "did not match any variant"),
            ("[requirements]", "[requirements]\ncores = 2", "unknown field `cores`"),
            (
                "helper = \"redis\"",
                "helper = \"rediss\"",
                "helper `rediss` is not one of its services",
            ),
        ] {
            assert!(shipped.contains(from), "{from}");
            let error = load(&shipped.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("line") || error.contains("helper"), "{error}");
        }
    }
}
