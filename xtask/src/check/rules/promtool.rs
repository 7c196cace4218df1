//! What promtool says, run in the image of the Prometheus that will read the files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::files;
use crate::check::kept::{Inputs, Kept, as_before};
use crate::check::{kept_answers, relative, side_by_side};
use crate::context::Context;
use crate::docker::mount::{Access, mount};
use crate::docker::{docker, image};
use crate::process::Output;
use crate::report::advice::Xtask;
use crate::report::finding::Finding;

const ID: &str = "rules.promtool";
/// The cases take seconds; a crowded machine is given a lot more.
const LIMIT: Duration = Duration::from_secs(600);

/// A call of promtool in Prometheus's folder.
#[derive(Debug)]
struct Question {
    /// Its arguments.
    asked: String,
    /// What its success means; several questions may mean one thing together.
    success: &'static str,
    /// The files that the answer depends on.
    reads: Vec<PathBuf>,
}

/// What became of a question.
enum Answer {
    AsBefore,
    Good,
    Bad(Box<Finding>),
}

pub(in crate::check) fn accepts_rules_and_cases(cx: &Context) -> Result<Vec<Finding>> {
    let Some((reference, image)) = prometheus_image(cx)? else {
        return Ok(vec![
            Finding::warning(ID, "the rules were not tested: no image of Prometheus is here")
                .mend(Xtask::ImagesBuild),
        ]);
    };
    let questions = questions(&cx.root)?;
    let kept = kept_answers(cx);
    let answers = side_by_side(&questions, |question| answer(cx, &kept, &image, question));
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    let mut findings = good(&questions, &answers, &reference);
    findings.extend(answers.into_iter().filter_map(|answer| match answer {
        Answer::Bad(finding) => Some(*finding),
        Answer::AsBefore | Answer::Good => None,
    }));
    Ok(findings)
}

/// All that is asked: the cases file by file, since each is an answer of its own.
fn questions(root: &Path) -> Result<Vec<Question>> {
    let folder = files::folder(root);
    let rules = files::yaml_files(&folder.join("rules"))?;
    let mut configuration = rules.clone();
    configuration.push(folder.join("prometheus.yml"));
    configuration.extend(files::yaml_files(&folder.join("targets"))?);
    configuration.extend(crate::host::files::below(&without_setup(root))?);
    let mut questions = vec![
        Question {
            asked: "check config --lint=all --lint-fatal prometheus.yml".to_owned(),
            success: "the configuration is valid",
            reads: configuration,
        },
        Question {
            asked: "check rules --lint=all --lint-fatal rules/*.yml".to_owned(),
            success: "the rules are valid",
            reads: rules,
        },
    ];
    questions.extend(files::cases(root)?.iter().map(|file| {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        Question {
            asked: format!("test rules {}", crate::process::quote(&format!("tests/{name}"))),
            success: "every case of the rules passes",
            reads: file.reads(),
        }
    }));
    Ok(questions)
}

/// Placeholders for the passwords, which no check needs.
fn without_setup(root: &Path) -> PathBuf {
    files::folder(root).with_file_name("without-setup")
}

fn answer(cx: &Context, kept: &Kept, image: &str, question: &Question) -> Result<Answer> {
    let mut inputs = Inputs::new(&question.asked, image);
    for path in &question.reads {
        inputs.file(&cx.root, path)?;
    }
    if kept.has(&question.asked, &inputs) {
        return Ok(Answer::AsBefore);
    }
    let output = promtool(&cx.root, image, &question.asked)?;
    if output.success() {
        kept.keep(&question.asked, &inputs);
        return Ok(Answer::Good);
    }
    let said = format!("{}\n{}", output.stdout, output.stderr);
    let about = format!("promtool {}", question.asked);
    let mut finding = Finding::error(ID, complaints(&said)).about(about);
    if let Some((file, line)) = place(&said) {
        finding = finding.at(relative(cx, &files::folder(&cx.root).join(file)), line);
    }
    Ok(Answer::Bad(Box::new(finding)))
}

fn promtool(root: &Path, image: &str, asked: &str) -> Result<Output> {
    let (folder, generated) = (files::folder(root), without_setup(root));
    let path = |path: &Path| path.to_str().map(str::to_owned);
    let (folder, generated) =
        path(&folder).zip(path(&generated)).context("a path for Docker must be UTF-8")?;
    docker()
        .args(["run", "--rm", "--pull", "never", "--network", "none", "--log-driver", "none"])
        .args(["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"])
        .args(mount(&folder, "/etc/prometheus", Access::Read)?)
        .args(mount(&generated, "/etc/generated", Access::Read)?)
        .args(["--workdir", "/etc/prometheus", "--entrypoint", "sh", image])
        .args(["-c", &format!("exec promtool {asked}")])
        .time_limit(LIMIT)
        .output()
}

/// One finding for each thing that went well in every question about it.
fn good(questions: &[Question], answers: &[Answer], image: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut done: Vec<&str> = Vec::new();
    for Question { success, .. } in questions {
        if done.contains(success) {
            continue;
        }
        done.push(success);
        let about = questions.iter().zip(answers).filter(|(other, _)| other.success == *success);
        let about: Vec<_> = about.map(|(_, answer)| answer).collect();
        let before = about.iter().filter(|answer| matches!(answer, Answer::AsBefore)).count();
        let found = match before {
            _ if about.iter().any(|answer| matches!(answer, Answer::Bad(_))) => continue,
            0 => (*success).to_owned(),
            _ if before == about.len() => as_before(success),
            _ => format!("{success}; {}", as_before(&format!("{before} of {} files", about.len()))),
        };
        findings.push(Finding::ok(ID, found).about(image));
    }
    findings
}

/// The image that Prometheus is configured to run on, or where that is not here the offline one; with
/// its id.
fn prometheus_image(cx: &Context) -> Result<Option<(String, String)>> {
    for stack in cx.stacks_whatever_env_says(None)? {
        let Ok(service) = stack.service("prometheus") else { continue };
        for reference in
            [Some(stack.image(service)?), service.offline_image.clone()].into_iter().flatten()
        {
            // No engine is no image.
            if let Ok(Some(image)) = image::get(&reference) {
                return Ok(Some((reference, image.id)));
            }
        }
    }
    Ok(None)
}

/// What promtool said, without what went well.
fn complaints(said: &str) -> String {
    let is_praise = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.contains("SUCCESS") || line.starts_with("Checking ")
    };
    said.lines().filter(|line| !is_praise(line)).collect::<Vec<_>>().join("\n")
}

/// The file and line of the first complaint: `rules/api.yml: 12:15: group …`, or, for a failed
/// case, the `Unit Testing:  tests/api.yml` before it.
fn place(said: &str) -> Option<(String, Option<usize>)> {
    let with_line = |line: &str| {
        let (before, after) = line.split_once(".yml: ")?;
        let file = before.rsplit(' ').next()?;
        let number = after.split(':').next()?.parse().ok();
        Some((format!("{file}.yml"), number))
    };
    let mut tested = None;
    for line in said.lines() {
        if let Some(file) = line.strip_prefix("Unit Testing:") {
            tested = Some(file.trim().to_owned());
        } else if let Some(place) = with_line(line) {
            return Some(place);
        } else if line.contains("FAILED") && tested.is_some() {
            return tested.map(|file| (file, None));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_has_a_place() {
        let said = "Checking rules/api.yml\n  FAILED:\nrules/api.yml: 12:15: group \"api\", rule 1";
        assert_eq!(place(said), Some(("rules/api.yml".to_owned(), Some(12))));
        let said = "Unit Testing:  tests/a.yml\n  SUCCESS\n\nUnit Testing:  tests/b.yml\n  FAILED:\n    alertname: A";
        assert_eq!(place(said), Some(("tests/b.yml".to_owned(), None)));
        assert_eq!(place("no such file"), None);
    }

    #[test]
    fn what_was_kept_is_told_from_what_was_asked_again() {
        let question = |success| Question { asked: String::new(), success, reads: Vec::new() };
        let questions = ["config", "cases", "cases", "cases"].map(question);
        let bad = || Answer::Bad(Box::new(Finding::error(ID, "")));
        let found = |answers: [Answer; 4]| -> Vec<String> {
            good(&questions, &answers, "2.42").into_iter().map(|good| good.found).collect()
        };
        use Answer::{AsBefore, Good};
        let as_before = "as before: nothing that it reads has changed";
        assert_eq!(found([Good, Good, Good, Good]), ["config", "cases"]);
        assert_eq!(
            found([AsBefore, AsBefore, Good, AsBefore]),
            [format!("config ({as_before})"), format!("cases; 2 of 3 files ({as_before})")]
        );
        assert_eq!(found([Good, AsBefore, bad(), Good]), ["config"]);
    }

    #[test]
    fn praise_is_left_out() {
        assert_eq!(
            complaints("Checking a.yml\n  SUCCESS: 3 rules found\n\n  FAILED:\nb"),
            "  FAILED:\nb"
        );
    }
}
