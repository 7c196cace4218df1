//! `.env`: made from `.env.example`, missing secrets generated, values that are there kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context as _, Result};

use crate::plan::Plan;
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
    let mut plan = Plan::new();
    let path = stack.env.path().to_owned();
    let old = stack.env.text().map(str::to_owned);
    let (text, added) = completed(stack, offline)?;
    if old.as_deref() != Some(&text) {
        let verb = if old.is_some() { "complete" } else { "write" };
        let list =
            if added.is_empty() { String::new() } else { format!(" ({})", added.join(", ")) };
        plan.write(format!("{verb} {}{list}", path.display()), path, text.as_bytes(), MODE);
    } else if fs::metadata(&path).is_ok_and(|facts| facts.permissions().mode() & 0o777 != MODE) {
        plan.write(
            format!("take {} from other users' eyes", path.display()),
            path,
            text.as_bytes(),
            MODE,
        );
    }
    stack.env.replace_text(text);
    Ok(plan)
}

/// The text with everything that was missing, and what that was.
fn completed(stack: &Stack, offline: bool) -> Result<(String, Vec<String>)> {
    let mut text = match stack.env.text() {
        Some(text) => text.to_owned(),
        None => {
            let example = stack.folder.join(".env.example");
            fs::read_to_string(&example)
                .with_context(|| format!("reading {}", example.display()))?
        }
    };
    let mut added = Vec::new();
    let mut set = |name: &str, value: &str, why: String| -> Result<()> {
        let changed = dotenv::set(&text, name, value).with_context(|| {
            format!("no spelling of the value of {name} is read alike by both Composes")
        })?;
        if changed != text {
            text = changed;
            added.push(why);
        }
        Ok(())
    };
    for (name, value) in stack.env.presets() {
        if stack.env.in_file(name).is_none() {
            set(name, value, format!("{name}={value}"))?;
        }
    }
    for service in &stack.definition.services {
        for name in service.secrets.iter().filter(|name| stack.env.in_file(name).is_none()) {
            // What only the shell has would be lost with it, and the data would be locked.
            match shell(name).filter(|value| !value.is_empty()) {
                Some(exported) => set(name, &exported, format!("{name} as exported"))?,
                None => set(name, Secret::generate()?.reveal(), format!("{name} generated"))?,
            }
        }
        if offline {
            let variable = stack.compose.image_variable(&service.name)?;
            set(variable, &service.offline_image, format!("{variable}={}", service.offline_image))?;
        }
    }
    Ok((text, added))
}
