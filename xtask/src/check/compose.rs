//! The compose files, for every Compose on this machine and against `.env.example`.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::relative;
use crate::context::Context;
use crate::docker::compose::Compose;
use crate::report::finding::Finding;
use crate::secret::Secret;
use crate::stack::{Stack, dotenv};

pub(super) fn variables_agree(cx: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for stack in cx.stacks(None)? {
        let example = example(&stack)?;
        let file = relative(cx, &stack.folder.join(".env.example"));
        let wrong =
            |line, found: String| Finding::error("compose.variables", found).at(&file, line);
        // An image that may be chosen is shown as a comment.
        let named = |name: &str| {
            example
                .lines()
                .any(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{name}=")))
        };
        for variable in stack.compose.variables().iter().filter(|variable| !named(&variable.name)) {
            let at = format!("{}:{}", relative(cx, stack.compose.path()), variable.line);
            findings.push(wrong(None, format!("{} of {at} is missing", variable.name)));
        }
        for assignment in dotenv::parse(&example, &|_| None) {
            let name = &assignment.key;
            let value = assignment.v1.value().unwrap_or_default();
            let line = Some(assignment.line);
            let variable = stack.compose.variables().iter().find(|variable| variable.name == *name);
            let is_secret =
                stack.definition.services.iter().any(|service| service.secrets.contains(name));
            match variable {
                None if name != "COMPOSE_PROJECT_NAME" => {
                    findings.push(wrong(line, format!("no compose file uses {name}")));
                }
                _ if is_secret && !value.is_empty() => {
                    findings
                        .push(wrong(line, format!("{name} is a secret and must be empty here")));
                }
                Some(variable)
                    if variable.default.as_ref().is_some_and(|default| default != value) =>
                {
                    let default = variable.default.clone().unwrap_or_default();
                    findings.push(wrong(
                        line,
                        format!("{name} differs from the compose file's default {default}"),
                    ));
                }
                _ => {}
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "compose.variables",
            ".env.example and the compose files name the same variables",
        ));
    }
    Ok(findings)
}

pub(super) fn valid_for_every_compose(cx: &Context) -> Result<Vec<Finding>> {
    let found = Compose::discover()?;
    if found.is_empty() {
        return Ok(vec![
            Finding::warning("compose.valid", "no Compose here to read the compose files")
                .mend("cargo xtask doctor"),
        ]);
    }
    let mut findings = Vec::new();
    for stack in cx.stacks(None)? {
        let filled = filled_example(&stack)?;
        let env =
            tempfile::Builder::new().prefix("env").tempfile().context("making a temporary .env")?;
        fs::write(env.path(), filled)
            .with_context(|| format!("writing {}", env.path().display()))?;
        for compose in &found {
            let output = compose
                .on_with(&stack, env.path())
                .args(["config", "--quiet"])
                .time_limit(Duration::from_secs(60))
                .output()?;
            let said = output.stderr.trim();
            let about = format!("{} by {compose}", stack.name());
            findings.push(match (output.success(), said) {
                (true, "") => {
                    Finding::ok("compose.valid", "is read without a warning").about(about)
                }
                (_, said) => Finding::error("compose.valid", said)
                    .about(about)
                    .at(relative(cx, stack.compose.path()), None),
            });
        }
    }
    Ok(findings)
}

fn example(stack: &Stack) -> Result<String> {
    let path = stack.folder.join(".env.example");
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn filled_example(stack: &Stack) -> Result<String> {
    let mut text = example(stack)?;
    for name in stack.definition.services.iter().flat_map(|service| &service.secrets) {
        text = dotenv::set(&text, name, Secret::generate()?.reveal())
            .context("filling in a secret")?;
    }
    Ok(text)
}
