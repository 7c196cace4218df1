//! What a stack's `.env` lacks: the one definition of a complete file, by the compose files,
//! `.env.example`, `stacks.toml` and the command line. `up`, `setup` and `env init` fill the file by it,
//! `doctor` and `env check` report by it.

use anyhow::{Context as _, Result};

use super::Stack;
use super::dotenv;
use super::env::shell;
use crate::host::followed;

/// A variable that should have a value in the file, and has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Where its value can be had.
    pub source: Source,
}

/// Where a value can be had; the first that has it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line means it.
    CommandLine(String),
    /// The shell exports it. Composes take it from there, as long as it does.
    Shell(String),
    /// It is a secret, which is made.
    Generated,
    /// `.env.example` has it.
    Example(String),
    /// Only a person knows it.
    Person,
}

impl Stack {
    /// What the file lacks: what the command line means, secrets, and what a compose file has no default
    /// for.
    ///
    /// # Errors
    /// When `.env.example` cannot be read.
    pub fn missing(&self) -> Result<Vec<Missing>> {
        let example = self.example()?;
        let meant = self.env.presets().keys().map(String::as_str);
        let required = self.compose.variables().iter().filter(|variable| {
            variable.required || (variable.default.is_none() && example(&variable.name).is_some())
        });
        let required = required.map(|variable| variable.name.as_str());
        let mut missing: Vec<Missing> = Vec::new();
        for name in meant.chain(self.secrets()).chain(required) {
            let is_there = self.env.in_file(name).is_some() || self.env.is_unclear(name);
            if is_there || missing.iter().any(|known| known.name == name) {
                continue;
            }
            let source = match (self.env.presets().get(name), shell(name), example(name)) {
                (Some(value), ..) => Source::CommandLine(value.clone()),
                (_, Some(value), _) if !value.is_empty() => Source::Shell(value),
                _ if self.secrets().contains(&name) => Source::Generated,
                (.., Some(value)) => Source::Example(value),
                _ => Source::Person,
            };
            missing.push(Missing { name: name.to_owned(), source });
        }
        Ok(missing)
    }

    /// The values of `.env.example`; empty ones count as none.
    fn example(&self) -> Result<impl Fn(&str) -> Option<String>> {
        let path = self.folder.join(".env.example");
        let reading = || format!("reading {}", path.display());
        let text = followed::text_optional(&path).with_context(reading)?.unwrap_or_default();
        let values = dotenv::parse(&text, &|_| None);
        Ok(move |name: &str| {
            let assignment = values.iter().rev().find(|assignment| assignment.key == name)?;
            assignment.value.clone().ok().filter(|value| !value.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::Overrides;
    use super::super::manifest::Manifest;
    use super::*;

    #[test]
    fn what_a_pull_brings_is_filled_from_where_it_can_be_had() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("infrastructure/docker/development");
        fs::create_dir_all(&own).unwrap();
        let more =
            "x-new: [\"${XTASK_NEW_SIZE:?no}\", \"${XTASK_NEW_NAME:?no}\", \"${XTASK_BARE}\"]\n";
        for (file, more) in [
            ("docker-compose.yml", more),
            (".env.example", "XTASK_NEW_SIZE=2gb\nXTASK_BARE=a\n"),
            (".env", ""),
        ] {
            let from = shipped.join("infrastructure/docker/development").join(file);
            let text = fs::read_to_string(from).unwrap_or("POSTGRES_PASSWORD=there12\n".into());
            fs::write(own.join(file), text + more).unwrap();
        }
        let definition = Manifest::load(shipped).unwrap().stacks.remove(0);
        let stack = Stack::load(folder.path(), &definition, &Overrides::default()).unwrap();
        let missing = stack.missing().unwrap();
        let source = |name: &str| {
            let its = missing.iter().find(|missing| missing.name == name);
            its.map(|missing| missing.source.clone())
        };
        assert_eq!(source("XTASK_NEW_SIZE"), Some(Source::Example("2gb".to_owned())));
        assert_eq!(source("XTASK_BARE"), Some(Source::Example("a".to_owned())));
        assert_eq!(source("XTASK_NEW_NAME"), Some(Source::Person));
        assert_eq!(source("REDIS_PASSWORD"), Some(Source::Generated));
        assert_eq!(source("POSTGRES_PASSWORD"), None);
        assert_eq!(source("POSTGRES_PORT"), None, "the compose file has a default");
    }
}
