//! What our own compose files say. Compose itself stays the judge of what they mean; this reads
//! only what xtask needs to know before compose runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::env::Env;
use super::published::{Entry, PublishedPort};
use super::template::{self, interpolate};
use crate::host::followed;
use crate::report::units::Bytes;

/// A compose file with its overlay, and with what a person puts on top, where they are there.
#[derive(Debug, Clone)]
pub struct ComposeFile {
    paths: Vec<PathBuf>,
    /// The person's, which is the last of `paths`.
    has_override: bool,
    services: BTreeMap<String, Service>,
    variables: Vec<Variable>,
}

/// A variable that the file uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its default, where it has one.
    pub default: Option<String>,
    /// Whether compose stops when it is missing.
    pub required: bool,
    /// The file where it stands first.
    pub path: PathBuf,
    /// Its line there, from 1.
    pub line: usize,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    services: BTreeMap<String, Service>,
}

/// The parts of a service that xtask looks at; everything else is compose's.
#[derive(Debug, Default, Clone, Deserialize)]
pub struct Service {
    /// An overlay may leave it to the base file.
    pub image: Option<String>,
    /// What it runs, unless its image says.
    pub command: Option<Command>,
    /// `address:host:container`.
    #[serde(default)]
    pub ports: Vec<Entry>,
    /// With which it starts; with any where there are none.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// By the variable's name.
    #[serde(default, deserialize_with = "or_none")]
    pub environment: BTreeMap<String, String>,
    /// What is mounted.
    #[serde(default, deserialize_with = "or_none")]
    pub volumes: Vec<Volume>,
    /// Its limit of memory.
    pub mem_limit: Option<String>,
}

/// Nothing where it is in another form, which our own files do not have.
fn or_none<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    let value = yaml_serde::Value::deserialize(deserializer)?;
    Ok(yaml_serde::from_value(value).unwrap_or_default())
}

/// A mount, in the long form.
#[derive(Debug, Clone, Deserialize)]
pub struct Volume {
    /// On the host.
    pub source: Option<String>,
    /// Inside.
    pub target: String,
}

/// What a container runs, in either form.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// Argument by argument.
    Words(Vec<String>),
    /// As a shell would split it.
    Line(String),
}

impl Command {
    /// The arguments, each with its variables.
    pub fn words(&self) -> Vec<&str> {
        match self {
            Self::Words(words) => words.iter().map(String::as_str).collect(),
            Self::Line(line) => line.split_whitespace().collect(),
        }
    }
}

impl ComposeFile {
    /// Reads the file in `folder`, and the overlay and the file called `on_top` on top of it
    /// where they are there.
    ///
    /// # Errors
    /// When one cannot be read, or is no compose file; the error names the line.
    pub fn load(folder: &Path, on_top: Option<&str>) -> Result<Self> {
        let (paths, services, variables) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut whole = Self { paths, has_override: false, services, variables };
        whole.add(folder.join("docker-compose.yml"))?;
        let overlay = folder.join("docker-compose.overlay.yml");
        if overlay.is_file() {
            whole.add(overlay)?;
        }
        if let Some(path) = on_top.map(|name| folder.join(name)).filter(|path| path.is_file()) {
            whole.add(path)?;
            whole.has_override = true;
        }
        Ok(whole)
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        let reading = || format!("reading {}", path.display());
        let text = followed::text(&path).with_context(reading)?;
        let file: File = yaml_serde::from_str(&text).with_context(reading)?;
        for variable in variables(&text, &path).with_context(reading)? {
            if self.variables.iter().all(|known| known.name != variable.name) {
                self.variables.push(variable);
            }
        }
        for (name, service) in file.services {
            let whole = self.services.entry(name).or_default();
            whole.image = service.image.or(whole.image.take());
            whole.command = service.command.or(whole.command.take());
            whole.ports.extend(service.ports);
            whole.environment.extend(service.environment);
            whole.volumes.extend(service.volumes);
            whole.mem_limit = service.mem_limit.or(whole.mem_limit.take());
            whole.profiles.extend(service.profiles);
        }
        self.paths.push(path);
        Ok(())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.paths.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Every file, in the order in which a Compose reads them.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The file and its overlay, which belong to the repository.
    pub fn own_paths(&self) -> &[PathBuf] {
        self.paths.get(..self.paths.len() - usize::from(self.has_override)).unwrap_or_default()
    }

    /// What a person has put on top of both.
    pub fn override_path(&self) -> Option<&Path> {
        self.paths.last().filter(|_| self.has_override).map(PathBuf::as_path)
    }

    /// Whether `service` starts with these profiles.
    pub fn is_active(&self, service: &str, profiles: &[&str]) -> bool {
        self.services.get(service).is_none_or(|service| {
            service.profiles.is_empty()
                || service.profiles.iter().any(|profile| profiles.contains(&profile.as_str()))
        })
    }

    /// Every variable, by the place of its first use.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The defaults of its variables.
    pub fn defaults(&self) -> BTreeMap<String, String> {
        let with_default =
            |variable: &Variable| Some((variable.name.clone(), variable.default.clone()?));
        self.variables.iter().filter_map(with_default).collect()
    }

    /// What the files say of a service, with its variables.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }

    /// The names of its services.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// The image of `service` with the values of `env`.
    ///
    /// # Errors
    /// When there is no such service, or a variable is missing.
    pub fn image(&self, service: &str, env: &Env) -> Result<String> {
        interpolate(self.image_of(service)?, &|name| env.get(name))
    }

    /// What the container of `service` runs with the values of `env`; nothing where its image says.
    ///
    /// # Errors
    /// When a variable is missing, or a quote in the command has no end.
    pub fn command(&self, service: &str, env: &Env) -> Result<Vec<String>> {
        let value = |text: &str| interpolate(text, &|name| env.get(name));
        match self.services.get(service).and_then(|service| service.command.as_ref()) {
            None => Ok(Vec::new()),
            Some(Command::Words(words)) => words.iter().map(|word| value(word)).collect(),
            Some(Command::Line(line)) => shlex::split(&value(line)?)
                .with_context(|| format!("a quote in the command of {service} has no end")),
        }
    }

    /// Bytes of memory that the container of `service` may use with the values of `env`; `None` for
    /// any number.
    ///
    /// # Errors
    /// When a variable is missing, or the value is not a size.
    pub fn memory_limit(&self, service: &str, env: &Env) -> Result<Option<u64>> {
        let limit = self.services.get(service).and_then(|service| service.mem_limit.as_ref());
        let Some(limit) = limit else { return Ok(None) };
        let text = interpolate(limit, &|name| env.get(name))?;
        let Bytes(bytes) = text.parse().map_err(anyhow::Error::msg)?;
        Ok(Some(bytes))
    }

    /// The image of `service` when no variable chooses another.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn default_image(&self, service: &str) -> Result<String> {
        interpolate(self.image_of(service)?, &|_| None)
    }

    /// The variable that chooses the image of `service`.
    ///
    /// # Errors
    /// When there is no such service, or its image is fixed.
    pub fn image_variable(&self, service: &str) -> Result<&str> {
        let references = template::references(self.image_of(service)?)?;
        let first = references.first().with_context(|| {
            format!("the image of `{service}` is fixed in {}", self.path().display())
        })?;
        Ok(first.name)
    }

    /// Every port that is published with the values of `env`; 0 where the value is no port.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn published_ports(&self, env: &Env) -> Result<Vec<PublishedPort>> {
        let mut published = Vec::new();
        for (name, service) in &self.services {
            for entry in &service.ports {
                published.extend(entry.ports(name, &|name| env.get(name))?);
            }
        }
        Ok(published)
    }

    fn image_of(&self, name: &str) -> Result<&str> {
        let service = self.services.get(name);
        service
            .and_then(|service| service.image.as_deref())
            .with_context(|| format!("no image of a service `{name}` in {}", self.path().display()))
    }
}

/// The variables of `text`, comments left out.
fn variables(text: &str, path: &Path) -> Result<Vec<Variable>> {
    let mut found: Vec<Variable> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        for reference in
            template::references(line).with_context(|| format!("line {}", index + 1))?
        {
            if found.iter().all(|variable| variable.name != reference.name) {
                found.push(Variable {
                    name: reference.name.to_owned(),
                    default: reference.default.map(str::to_owned),
                    required: reference.required.is_some(),
                    path: path.to_owned(),
                    line: index + 1,
                });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_carry_their_default_and_first_line() {
        let text = "# ${COMMENT}\na: ${ONE:-1} $$no\nb: ${TWO:?say it} ${ONE:-1}\n";
        let variable = |name: &str, default: Option<&str>, required, line| Variable {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            required,
            path: "x.yml".into(),
            line,
        };
        assert_eq!(
            variables(text, Path::new("x.yml")).unwrap(),
            [variable("ONE", Some("1"), false, 2), variable("TWO", None, true, 3)]
        );
    }
}
