//! The compose files, for every Compose on this machine and against `.env.example`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::kept::{Inputs, Kept, as_before};
use super::{kept_answers, relative, side_by_side};
use crate::context::Context;
use crate::docker::compose::{self, Compose};
use crate::host::followed;
use crate::report::advice::Xtask;
use crate::report::finding::Finding;
use crate::secret::Secret;
use crate::stack::Stack;
use crate::stack::compose_file::Variable;
use crate::stack::dotenv::{self, Assignment};

pub(super) fn variables_agree(cx: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for stack in cx.stacks_whatever_env_says(None)? {
        let example = example(&stack)?;
        let file = relative(cx, &stack.folder.join(".env.example"));
        let wrong =
            |line, found: String| Finding::error("compose.variables", found).at(&file, line);
        let named = |variable: &&Variable| !names(&example, &variable.name);
        findings.extend(stack.compose.variables().iter().filter(named).map(|variable| {
            let at = format!("{}:{}", relative(cx, &variable.path), variable.line);
            wrong(None, format!("{} of {at} is missing", variable.name))
        }));
        let assignments = dotenv::parse(&example, &|_| None);
        findings.extend(assignments.iter().filter_map(|assignment| {
            Some(wrong(Some(assignment.line), disagreement(&stack, assignment)?))
        }));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "compose.variables",
            ".env.example and the compose files name the same variables",
        ));
    }
    Ok(findings)
}

/// Whether the example has the variable, perhaps as a comment: that is how it shows an image that
/// may be chosen.
fn names(example: &str, variable: &str) -> bool {
    let assignment = format!("{variable}=");
    example.lines().any(|line| line.trim_start_matches(['#', ' ']).starts_with(&assignment))
}

/// What is wrong with a line of the example, beside the compose files.
fn disagreement(stack: &Stack, assignment: &Assignment) -> Option<String> {
    let name = &assignment.key;
    let value = assignment.value.as_deref().unwrap_or_default();
    let is_secret = stack.definition.services.iter().any(|one| one.secrets.contains(name));
    let variable = stack.compose.variables().iter().find(|variable| variable.name == *name);
    if variable.is_none() && stack.other_variables().all(|other| other != name) {
        return Some(format!("nothing uses {name}"));
    }
    if is_secret && !value.is_empty() {
        return Some(format!("{name} is a secret and must be empty here"));
    }
    let default = variable?.default.as_ref().filter(|default| *default != value)?;
    Some(format!("{name} differs from the compose file's default {default}"))
}

pub(super) fn valid_for_every_compose(cx: &Context) -> Result<Vec<Finding>> {
    let found = Compose::discover()?;
    if found.is_empty() {
        return Ok(vec![
            Finding::warning("compose.valid", "no Compose here to read the compose files")
                .mend(Xtask::Doctor),
        ]);
    }
    let mut questions = Vec::new();
    let stacks = cx.stacks_whatever_env_says(None)?;
    for stack in &stacks {
        let paths = stack.compose.own_paths();
        for compose in &found {
            // By hand the base file is read alone.
            let files = (1..=paths.len()).filter_map(|count| paths.get(..count));
            questions.extend(files.map(|files| (stack, compose, files)));
        }
    }
    let kept = kept_answers(cx);
    let findings =
        side_by_side(&questions, |(stack, compose, files)| reads(cx, &kept, stack, compose, files));
    findings.into_iter().collect()
}

/// Whether `compose` reads `files` without a word.
fn reads(
    cx: &Context,
    kept: &Kept,
    stack: &Stack,
    compose: &Compose,
    files: &[PathBuf],
) -> Result<Finding> {
    let last = files.last().map(|file| relative(cx, file)).unwrap_or_default();
    let about = format!("{last} by {compose}");
    let success = "is read without a warning";
    let mut inputs = Inputs::new(&about, success);
    for file in files.iter().chain([&stack.folder.join(".env.example")]) {
        inputs.file(&cx.root, file)?;
    }
    if kept.has(&about, &inputs) {
        return Ok(Finding::ok("compose.valid", as_before(success)).about(about));
    }
    let filled = filled_example(stack)?;
    let mut env =
        tempfile::Builder::new().prefix("env").tempfile().context("making a temporary .env")?;
    env.write_all(filled.as_bytes())
        .with_context(|| format!("writing {}", env.path().display()))?;
    let project = compose::Project {
        files: files.to_vec(),
        env_file: env.path().to_owned(),
        ..stack.compose_project()
    };
    let asked = compose.on(&project).args(["config", "--quiet"]);
    let output = asked.time_limit(Duration::from_secs(60)).output()?;
    Ok(match (output.success(), output.stderr.trim()) {
        (true, "") => {
            kept.keep(&about, &inputs);
            Finding::ok("compose.valid", success).about(about)
        }
        (_, said) => Finding::error("compose.valid", said).about(about).at(last, None),
    })
}

/// A command in an overlay takes the place of the base file's, so it must repeat it.
pub(super) fn overlays_keep_flags(cx: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for stack in cx.stacks_whatever_env_says(None)? {
        let [base, overlay] = stack.compose.own_paths() else { continue };
        let (base, file) = (commands(base)?, relative(cx, overlay));
        for (service, command) in commands(overlay)? {
            let lost = base.get(&service).into_iter().flatten().filter(|flag| {
                // A path may be another one.
                let name = flag.split('=').next().unwrap_or(flag);
                let is_path = name.ends_with(".file");
                command.iter().all(|own| own != *flag && !(is_path && own.starts_with(name)))
            });
            findings.extend(lost.map(|flag| {
                Finding::error("compose.overlay", format!("{service} has lost its flag {flag}"))
                    .at(file.as_str(), None)
                    .mend("repeat it: an overlay's command takes the place of the base file's")
            }));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("compose.overlay", "overlays repeat the commands they extend"));
    }
    Ok(findings)
}

/// The commands of a compose file that are lists, by service.
fn commands(path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    #[derive(Deserialize)]
    struct File {
        services: BTreeMap<String, Service>,
    }
    #[derive(Deserialize)]
    struct Service {
        #[serde(default)]
        command: Vec<String>,
    }
    let reading = || format!("reading {}", path.display());
    let text = followed::text(path).with_context(reading)?;
    let file: File = yaml_serde::from_str(&text).with_context(reading)?;
    let with_command = |(name, service): (String, Service)| {
        (!service.command.is_empty()).then_some((name, service.command))
    };
    Ok(file.services.into_iter().filter_map(with_command).collect())
}

fn example(stack: &Stack) -> Result<String> {
    let path = stack.folder.join(".env.example");
    followed::text(&path).with_context(|| format!("reading {}", path.display()))
}

fn filled_example(stack: &Stack) -> Result<String> {
    let mut text = example(stack)?;
    for name in stack.definition.services.iter().flat_map(|service| &service.secrets) {
        text = dotenv::set(&text, name, Secret::generate()?.reveal())
            .context("filling in a secret")?;
    }
    Ok(text)
}
