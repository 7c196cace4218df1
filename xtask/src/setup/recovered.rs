//! What a `.env` that is gone held, by the containers that were made with it: their environment, ports,
//! images, mounts, limits and arguments, and the passwords in their generated files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::generated;
use crate::data::known;
use crate::docker::container::made::{self, Made};
use crate::docker::container::{Container, of_project};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::report::units::{Bytes, count};
use crate::secret::Secret;
use crate::stack::Stack;
use crate::stack::compose_file::Service;
use crate::stack::published::Entry;
use crate::stack::template::{extract, references};

/// What is done where containers have the values of a file that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Nothing is written, and the command is named that brings the values back.
    Refused,
    /// The values are taken from the containers.
    Taken,
}

impl Lost {
    /// `--yes` answers the question whether they are taken.
    pub fn by(yes: bool) -> Self {
        if yes { Self::Taken } else { Self::Refused }
    }
}

/// By the variable's name.
pub type Recovered = BTreeMap<String, String>;

/// The values that the containers of `stack` still have; none where there are no containers.
///
/// # Errors
/// `env.gone` where there are containers and their values may not be taken; when the engine stops
/// answering.
pub fn values(stack: &Stack, lost: Lost) -> Result<Recovered> {
    let containers = match of_project(&stack.project()) {
        // The first file of a machine needs no engine.
        Err(_) if !known::is_remembered(stack) => Vec::new(),
        containers => containers.context("looking for containers that have the values of .env")?,
    };
    if containers.is_empty() {
        return Ok(Recovered::new());
    }
    if lost == Lost::Refused {
        return Err(gone(stack, containers.len()).into());
    }
    let mut values = Recovered::new();
    for one in &containers {
        let Some(service) = one.service() else { continue };
        let Some(it) = made::get(&one.id)? else { continue };
        of_container(stack, service, &it, &mut values);
        generated_passwords(stack, service, &one.id, &mut values)?;
    }
    let services = containers.iter().filter_map(|one| stack.compose.service(one.service()?));
    let profiles: BTreeSet<_> = services.filter_map(|one| one.profiles.first()).cloned().collect();
    values
        .insert("COMPOSE_PROFILES".to_owned(), profiles.into_iter().collect::<Vec<_>>().join(","));
    let defaults = stack.compose.defaults();
    let is_usual = |name: &str, value: &str| {
        defaults.get(name).is_some_and(|usual| is_same(usual, value))
            && !stack.env.presets().contains_key(name)
    };
    values.retain(|name, value| !value.is_empty() && !is_usual(name, value));
    for name in stack.secrets() {
        let _ = values.get(name).map(Secret::new);
    }
    Ok(values)
}

/// What ends a command that would write new passwords beside containers that have the old ones.
pub fn gone(stack: &Stack, containers: usize) -> Problem {
    let found = format!(
        "{} is missing, but {} made from it {}: a new file would have different passwords and ports",
        stack.env_file(),
        count(containers, "container"),
        if containers == 1 { "still exists" } else { "still exist" }
    );
    Problem::prerequisite("env.gone", found).mend(
        Advice::from(format!(
            "write it again from what the containers still have: {}",
            Xtask::EnvInitFromContainers(stack.on())
        ))
        .or("put it back"),
    )
}

fn of_container(stack: &Stack, service: &str, made: &Made, values: &mut Recovered) {
    let Some(written) = stack.compose.service(service) else { return };
    for (template, actual) in pairs(written, made) {
        let found = extract(template, &actual).unwrap_or_default();
        for (name, value) in found.into_iter().filter(|(_, value)| !value.contains('\n')) {
            values.entry(name).or_insert(value);
        }
    }
    memory(written.mem_limit.as_deref(), made.memory(), values);
    let own = format!("{}_", stack.project());
    let mut shared = made.networks().filter(|name| !name.starts_with(&own));
    if let (Some(network), None) = (shared.next(), shared.next()) {
        values.entry(stack.definition.network.clone()).or_insert_with(|| network.to_owned());
    }
}

/// What the compose files say, each with what the container has of it.
fn pairs<'a>(written: &'a Service, made: &Made) -> Vec<(&'a str, String)> {
    let mut pairs = Vec::new();
    for (name, template) in &written.environment {
        pairs.extend(made.variable(name).map(|value| (template.as_str(), value.to_owned())));
    }
    pairs.extend(written.image.as_deref().map(|template| (template, made.image().to_owned())));
    for template in written.ports.iter().filter_map(Entry::template) {
        pairs.extend(made.ports().into_iter().map(|port| (template, port)));
    }
    for volume in &written.volumes {
        let source = made.source(&volume.target).map(str::to_owned);
        pairs.extend(volume.source.as_deref().zip(source));
    }
    // A word that is a variable alone would match any argument.
    let words = written.command.iter().flat_map(|command| command.words());
    for word in words.filter(|word| !word.starts_with('$')) {
        pairs.extend(made.command().iter().map(|actual| (word, actual.clone())));
    }
    pairs
}

/// The variables that had other values when `container` was made than they have now; `up` applies
/// today's. Empty where that cannot be found out.
pub fn differing(stack: &Stack, container: &Container) -> Vec<String> {
    let made = made::get(&container.id).ok().flatten();
    let (Some(service), Some(made)) = (container.service(), made) else { return Vec::new() };
    let mut had = Recovered::new();
    of_container(stack, service, &made, &mut had);
    let same_place = |had: &str| {
        let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
        real(stack.folder.join(had)) == real(stack.data_dir())
    };
    let holds = |name: &str, had: &str| match stack.env.get(name) {
        _ if name == "DATA_DIR" => same_place(had),
        Some(now) => is_same(&now, had),
        None => had.is_empty(),
    };
    had.retain(|name, had| !holds(name, had));
    had.into_keys().collect()
}

/// The engine knows bytes.
fn memory(template: Option<&str>, bytes: u64, values: &mut Recovered) {
    let Some(Ok(references)) = template.map(references) else { return };
    if let [only] = references.as_slice()
        && bytes > 0
    {
        let is_whole = bytes.is_multiple_of(1 << 20);
        let text = if is_whole { format!("{}m", bytes >> 20) } else { format!("{bytes}b") };
        values.entry(only.name.to_owned()).or_insert(text);
    }
}

/// Whether two values mean the same: sizes may be written in several ways.
fn is_same(one: &str, other: &str) -> bool {
    one == other || one.parse::<Bytes>().is_ok_and(|one| other.parse() == Ok(one))
}

/// Passwords that are in no environment, out of the files that were made of them for the service.
fn generated_passwords(
    stack: &Stack,
    service: &str,
    id: &str,
    values: &mut Recovered,
) -> Result<()> {
    let Some(files) = stack.service(service).ok().and_then(|one| one.generated.as_ref()) else {
        return Ok(());
    };
    for file in &files.files {
        let Some(secret) = &file.secret else { continue };
        if values.contains_key(secret) || !generated::shows_secret(file) {
            continue;
        }
        let path = format!("{}/{}", generated::INSIDE, file.name);
        let text = made::file(id, &path)?;
        let value = text.and_then(|text| generated::secret_in(file, &text));
        values.extend(value.map(|value| (secret.clone(), value)));
    }
    Ok(())
}
