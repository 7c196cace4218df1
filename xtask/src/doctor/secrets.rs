//! Passwords that are guessed.

use anyhow::Result;

use super::facts::Facts;
use crate::host::followed;
use crate::report::advice::Xtask;
use crate::report::finding::Finding;
use crate::secret::Secret;
use crate::setup::origin;
use crate::stack::Stack;
use crate::stack::dotenv;

/// Shorter passwords are guessed.
const SHORTEST: usize = 12;
/// What everybody tries first, with digits around it or without.
const USUAL: &[&str] = &[
    "admin",
    "changeit",
    "changeme",
    "changethis",
    "default",
    "dev",
    "development",
    "example",
    "guest",
    "letmein",
    "mysecretpassword",
    "passwd",
    "password",
    "postgres",
    "postgresql",
    "qwerty",
    "redis",
    "root",
    "secret",
    "supabase",
    "test",
    "user",
    "yourpassword",
];

pub(super) fn weak_secrets(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let secrets: Vec<_> = stack
        .secrets()
        .into_iter()
        .filter_map(|name| Some((name, stack.env.get(name).filter(|value| !value.is_empty())?)))
        .collect();
    if stack.env.text().is_none() || secrets.is_empty() {
        return Ok(Vec::new());
    }
    let example = followed::text_optional(&stack.folder.join(".env.example"))?.unwrap_or_default();
    let example = dotenv::parse(&example, &|_| None);
    let plain: Vec<_> = stack
        .env
        .assignments()
        .iter()
        .filter(|assignment| secrets.iter().all(|(name, _)| *name != assignment.key))
        .filter_map(|assignment| stack.env.in_file(&assignment.key))
        .collect();
    let mut findings = Vec::new();
    for (index, (name, value)) in secrets.iter().enumerate() {
        // Whatever is printed from now on must not hold it.
        let _ = Secret::new(value.as_str());
        let is_example =
            example.iter().any(|given| given.key == *name && given.value.as_ref() == Ok(value));
        let why =
            if is_example { Some("the value of .env.example") } else { weakness(value, &plain) };
        if let Some(why) = why {
            let finding = Finding::error("env.weak-secret", format!("{name} is {why}"))
                .needs(format!("{SHORTEST} or more characters that nobody guesses"))
                .mend(way_to_change(stack, name));
            findings.push(facts.place(stack, name, finding));
        }
        let same = secrets.iter().take(index).find(|(_, earlier)| earlier == value);
        if let Some((other, _)) = same {
            let finding =
                Finding::warning("env.secret-shared", format!("{name} is the same as {other}"))
                    .mend(way_to_change(stack, name));
            findings.push(facts.place(stack, name, finding));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("env.weak-secret", "no secret is weak").about(stack.name()));
    }
    Ok(findings)
}

/// A server that keeps its password in its data needs to be told.
fn way_to_change(stack: &Stack, name: &str) -> String {
    let init = Xtask::EnvInit(stack.on());
    let service = stack
        .definition
        .services
        .iter()
        .find(|service| service.secrets.iter().any(|secret| secret == name));
    match service {
        Some(service) if origin::keeps_password(stack, service) => format!(
            "empty it, then: {init}, and where there is data already: {}",
            Xtask::SetPassword(stack.on(), service.name.clone())
        ),
        _ => format!("empty it, then: {init}"),
    }
}

/// Why `value` is no password, if it is none.
fn weakness(value: &str, plain: &[String]) -> Option<&'static str> {
    let lower = value.to_lowercase();
    let bare = lower.trim_matches(|c: char| !c.is_alphabetic());
    let joined: String = bare.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut chars = value.chars();
    let first = chars.next();
    if plain.iter().any(|other| other.to_lowercase() == lower) {
        Some("the same as a value that is not a secret")
    } else if USUAL.contains(&bare) || USUAL.contains(&joined.as_str()) {
        Some("one that everybody tries first")
    } else if chars.all(|c| Some(c) == first) {
        Some("one character again and again")
    } else if value.chars().count() < SHORTEST {
        Some("too short")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_are_guessed_are_weak() {
        let plain = ["case_interview_platform".to_owned()];
        for (value, expected) in [
            ("postgres", Some("one that everybody tries first")),
            ("Change-Me-12345", Some("one that everybody tries first")),
            ("password123456789", Some("one that everybody tries first")),
            ("aaaaaaaaaaaaaaaa", Some("one character again and again")),
            ("Case_Interview_Platform", Some("the same as a value that is not a secret")),
            ("k3-Vz.9qL_p", Some("too short")),
            ("k3-Vz.9qL_p1", None),
        ] {
            assert_eq!(weakness(value, &plain), expected, "{value}");
        }
    }
}
