//! What a `.env` that is gone held, by the containers that were made with it: their environment, ports,
//! images, mounts, limits and arguments, and the passwords in their generated files.

use std::collections::BTreeMap;

use anyhow::Result;

use super::generated;
use crate::docker::container::made::{self, Made};
use crate::docker::container::of_project;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::report::units::{Bytes, count};
use crate::secret::Secret;
use crate::stack::Stack;
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
    // Without an engine there are no containers whose values a new file could differ from.
    let containers = of_project(&stack.project()).unwrap_or_default();
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
    let defaults = stack.compose.defaults();
    let is_usual = |name: &str, value: &str| {
        defaults.get(name).is_some_and(|usual| usual == value)
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
        "{} is not there, but {} made with it: a new one would have other passwords and ports",
        stack.env_file(),
        match containers {
            1 => "a container is which was".to_owned(),
            many => format!("{} are which were", count(many, "container")),
        }
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
    let mut pairs = Vec::new();
    for (name, template) in &written.environment {
        pairs.extend(made.variable(name).map(|value| (template.as_str(), value.to_owned())));
    }
    pairs.extend(written.image.as_deref().map(|template| (template, made.image().to_owned())));
    for template in &written.ports {
        pairs.extend(made.ports().into_iter().map(|port| (template.as_str(), port)));
    }
    for volume in &written.volumes {
        let source = made.source(&volume.target);
        pairs.extend(volume.source.as_deref().zip(source).map(|(a, b)| (a, b.to_owned())));
    }
    for word in written.command.iter().flat_map(|command| command.words()) {
        // A word that is a variable alone would match any argument.
        if word.starts_with('$') {
            continue;
        }
        pairs.extend(made.command().iter().map(|actual| (word, actual.clone())));
    }
    for (template, actual) in pairs {
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

/// The engine knows bytes; `1gb` stays as it is written where it is as many.
fn memory(template: Option<&str>, bytes: u64, values: &mut Recovered) {
    let Some(Ok(references)) = template.map(references) else { return };
    if let [only] = references.as_slice() {
        let usual = only.default.and_then(|default| default.parse::<Bytes>().ok());
        if usual != Some(Bytes(bytes)) {
            let text = if bytes % (1 << 20) == 0 {
                format!("{}m", bytes >> 20)
            } else {
                format!("{bytes}b")
            };
            values.entry(only.name.to_owned()).or_insert(text);
        }
    }
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
