//! `.env`: made from `.env.example`, missing secrets generated, values that are there kept.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context as _, Result};

use crate::host::followed;
use crate::plan::Plan;
use crate::report::finding::Problem;
use crate::report::units::count;
use crate::secret::Secret;
use crate::stack::Stack;
use crate::stack::dotenv;
use crate::stack::env::shell;

/// Only its owner may read a file with passwords.
pub const MODE: u32 = 0o600;

/// The step that writes what is missing, if anything is; `stack` then has the new values.
///
/// # Errors
/// When `.env.example` cannot be read, or the system's random generator fails.
pub fn plan(stack: &mut Stack, offline: bool) -> Result<Plan> {
    // What is unclear would count as missing, and be overwritten.
    if let Some(unclear) = stack.unclear().first() {
        return Err(Problem::from(unclear).into());
    }
    let mut plan = Plan::new();
    let path = stack.env.path().to_owned();
    let old = stack.env.text().map(str::to_owned);
    let (text, added) = completed(stack, offline)?;
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

/// What a file lacked.
#[derive(Debug, Default)]
struct Added {
    values: Vec<String>,
    generated: Vec<String>,
    exported: Vec<String>,
    images: usize,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (names, what) in
            [(&self.values, ""), (&self.generated, " generated"), (&self.exported, " as exported")]
        {
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
fn completed(stack: &Stack, offline: bool) -> Result<(String, Added)> {
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
    for (name, value) in stack.env.presets() {
        if stack.env.in_file(name).is_none() && set(name, value)? {
            added.values.push(format!("{name}={value}"));
        }
    }
    for service in &stack.definition.services {
        for name in service.secrets.iter().filter(|name| stack.env.in_file(name).is_none()) {
            // What only the shell has would be lost with it, and the data would be locked.
            match shell(name).filter(|value| !value.is_empty()) {
                Some(exported) => {
                    set(name, &exported)?;
                    added.exported.push(name.clone());
                }
                None => {
                    set(name, Secret::generate()?.reveal())?;
                    added.generated.push(name.clone());
                }
            }
        }
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
