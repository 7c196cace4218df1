//! With which settings a service ran when a set was made, and with which it would run today. Data
//! that fitted then may not fit now.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::docker::container::Container;
use crate::report::finding::Finding;
use crate::secret::mask;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Options of the service's program, and variables of `.env` in its environment, by name; no secret.
pub type Settings = BTreeMap<String, String>;

/// Those that `container` was started with.
pub fn of(stack: &Stack, container: &Container) -> Settings {
    let environment = container.config.env.iter().flatten();
    let environment = environment.filter_map(|one| one.split_once('='));
    let ours = |name: &str| is_ours(stack, name);
    let environment = environment.filter(|(name, _)| ours(name));
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    options(container.config.cmd.iter().flatten()).chain(environment).collect()
}

/// What is set otherwise today than when the set was made.
///
/// # Errors
/// When the compose file is broken there.
pub fn findings(stack: &Stack, service: &Service, then: &Settings) -> Result<Vec<Finding>> {
    let command = stack.command(service)?;
    let mut today: Settings = options(command.iter()).collect();
    let variables = then.keys().filter(|name| is_ours(stack, name));
    today.extend(variables.filter_map(|name| Some((name.clone(), stack.env.get(name)?))));
    let finding =
        |difference| Finding::warning("restore.settings", difference).about(&service.name);
    Ok(differences(then, &today).into_iter().map(finding).collect())
}

/// Whether it is a variable of the compose file that holds no secret.
fn is_ours(stack: &Stack, name: &str) -> bool {
    stack.compose.variables().iter().any(|variable| variable.name == name)
        && !stack.secrets().contains(&name)
}

/// `--name=value` and `--name`.
fn options<'a>(words: impl Iterator<Item = &'a String>) -> impl Iterator<Item = (String, String)> {
    let options = words.filter(|word| word.starts_with("--"));
    options.map(|word| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        // A person's compose file may give a password this way.
        (name.to_owned(), mask(value))
    })
}

/// Nothing where earlier versions have noted none.
fn differences(then: &Settings, today: &Settings) -> Vec<String> {
    if then.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<_> = then.keys().chain(today.keys()).collect();
    names.sort();
    names.dedup();
    let shown = |value: Option<&String>| match value {
        Some(value) => format!("`{value}`"),
        None => "not set".to_owned(),
    };
    let differ = names.into_iter().filter(|name| then.get(*name) != today.get(*name));
    let words = |name: &String| {
        let (was, is) = (shown(then.get(name)), shown(today.get(name)));
        format!("{name} was {was} when the set was made, and is {is}")
    };
    differ.map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_otherwise_is_named_with_both_values() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let then = words("postgres --a=1 --b=2 --c -x");
        let today = words("postgres --a=1 --b=3 --d=4");
        let (then, today) = (options(then.iter()).collect(), options(today.iter()).collect());
        assert_eq!(
            differences(&then, &today),
            [
                "--b was `2` when the set was made, and is `3`",
                "--c was `` when the set was made, and is not set",
                "--d was not set when the set was made, and is `4`",
            ]
        );
        assert!(differences(&Settings::new(), &today).is_empty(), "of an earlier version");
    }
}
