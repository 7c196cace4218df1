//! `.env`: made from `.env.example`, missing secrets generated, values that are there kept.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context as _, Result};

use super::recovered::{self, Lost, Recovered};
use crate::host::followed;
use crate::plan::Plan;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::report::units::count;
use crate::secret::Secret;
use crate::stack::Stack;
use crate::stack::dotenv;
use crate::stack::missing::{Missing, Source};

/// Only its owner may read a file with passwords.
pub const MODE: u32 = 0o600;

/// The step that writes what is missing, if anything is; `stack` then has the new values. Where the file
/// is missing and containers still have its values, `lost` says what is done.
///
/// # Errors
/// When `.env.example` cannot be read, only a person knows a value, containers have the values of a file
/// that is gone, or the system's random generator fails.
pub fn plan(stack: &mut Stack, offline: bool, lost: Lost) -> Result<Plan> {
    // What is unclear would count as missing, and be overwritten.
    if let Some(unclear) = stack.unclear().first() {
        return Err(Problem::from(unclear).into());
    }
    let mut plan = Plan::new();
    let path = stack.env.path().to_owned();
    let old = stack.env.text().map(str::to_owned);
    let recovered = match &old {
        None => recovered::values(stack, lost)?,
        Some(_) => Recovered::new(),
    };
    for (name, value) in &recovered {
        stack.env.preset(name, value.clone());
    }
    let (text, added) = completed(stack, offline, &recovered)?;
    if old.as_deref() != Some(&text) {
        let verb = if old.is_some() { "complete" } else { "write" };
        plan.edit(format!("{verb} {}{added}", stack.env_file()), path, text.as_bytes(), MODE);
    } else if fs::metadata(&path).is_ok_and(|facts| facts.permissions().mode() & 0o777 != MODE) {
        plan.edit(
            format!("keep other users from reading {}", stack.env_file()),
            path,
            text.as_bytes(),
            MODE,
        );
    }
    stack.env.replace_text(text);
    Ok(plan)
}

fn ask_a_person(stack: &Stack, names: &[String]) -> Problem {
    let found =
        format!("{} in {}, and .env.example has no value", says_missing(names), stack.env_file());
    Problem::prerequisite("env.incomplete", found).mend(
        Advice::from(format!("write NAME=value into {}", stack.env_file()))
            .or(format!("be asked for it, on a terminal: {}", Xtask::EnvInit(stack.on()))),
    )
}

fn says_missing(names: &[String]) -> String {
    format!("{} {} missing", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// What a file lacked.
#[derive(Debug, Default)]
struct Added {
    /// Names of what containers still have.
    recovered: Vec<String>,
    values: Vec<String>,
    generated: Vec<String>,
    exported: Vec<String>,
    images: usize,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (names, what) in [
            (&self.recovered, " from the containers"),
            (&self.values, ""),
            (&self.generated, " generated"),
            (&self.exported, " as exported"),
        ] {
            if !names.is_empty() {
                parts.push(format!("{}{what}", names.join(", ")));
            }
        }
        if self.images > 0 {
            parts.push(format!("{} chosen", count(self.images, "image")));
        }
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join("; ")) }
    }
}

/// The text with everything that was missing, and what that was.
fn completed(stack: &Stack, offline: bool, recovered: &Recovered) -> Result<(String, Added)> {
    let mut text = match stack.env.text() {
        Some(text) => text.to_owned(),
        None => {
            let example = stack.folder.join(".env.example");
            followed::text(&example).with_context(|| format!("reading {}", example.display()))?
        }
    };
    let mut added = Added::default();
    let mut set = |name: &str, value: &str| -> Result<bool> {
        let changed = dotenv::set(&text, name, value).with_context(|| {
            format!("the value of {name} cannot be written so that every Compose reads it alike")
        })?;
        let is_new = changed != text;
        text = changed;
        Ok(is_new)
    };
    let mut unknown = Vec::new();
    for Missing { name, source } in stack.missing()? {
        let (value, group) = match source {
            Source::CommandLine(value) if recovered.contains_key(&name) => {
                (value, Some(&mut added.recovered))
            }
            Source::CommandLine(value) | Source::Example(value) => (value, None),
            // What only the shell has would be lost with it, and the data would be locked.
            Source::Shell(value) => (value, Some(&mut added.exported)),
            Source::Generated => {
                (Secret::generate()?.reveal().to_owned(), Some(&mut added.generated))
            }
            Source::Person => {
                unknown.push(name);
                continue;
            }
        };
        match (set(&name, &value)?, group) {
            (true, Some(names)) => names.push(name),
            (true, None) => added.values.push(format!("{name}={value}")),
            (false, _) => {}
        }
    }
    if !unknown.is_empty() {
        return Err(ask_a_person(stack, &unknown).into());
    }
    for service in &stack.definition.services {
        // An offline image of another version was chosen on purpose.
        if let Some(image) = service.offline_image.as_ref().filter(|_| offline)
            && !stack.is_offline(service)
        {
            let variable = stack.compose.image_variable(&service.name)?;
            added.images += usize::from(set(variable, image)?);
        }
    }
    Ok((text, added))
}
