//! What promtool says, run in the image of the Prometheus that will read the files.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::files;
use crate::check::relative;
use crate::context::Context;
use crate::docker::{docker, image};
use crate::report::advice::Xtask;
use crate::report::finding::Finding;

const ID: &str = "rules.promtool";
/// The cases take seconds; a crowded machine is given a lot more.
const LIMIT: Duration = Duration::from_secs(600);

/// What is asked, in Prometheus's folder, and what its success means.
const QUESTIONS: [(&str, &str); 3] = [
    ("check config --lint=all --lint-fatal prometheus.yml", "the configuration is valid"),
    ("check rules --lint=all --lint-fatal rules/*.yml", "the rules are valid"),
    ("test rules tests/*.yml", "every case of the rules passes"),
];

pub(in crate::check) fn accepts_rules_and_cases(cx: &Context) -> Result<Vec<Finding>> {
    let Some(image) = prometheus_image(cx)? else {
        return Ok(vec![
            Finding::warning(ID, "the rules were not tested: no image of Prometheus is here")
                .mend(Xtask::ImagesBuild),
        ]);
    };
    let folder = files::folder(&cx.root);
    let folder = folder.to_str().context("a path for Docker must be UTF-8")?;
    // What stands in for the passwords, which no check needs.
    let generated = format!("{folder}/../without-setup:/etc/generated:ro");
    let mut findings = Vec::new();
    for (question, success) in QUESTIONS {
        let output = docker()
            .args(["run", "--rm", "--pull", "never", "--network", "none", "--log-driver", "none"])
            .args(["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"])
            .args(["--volume", &format!("{folder}:/etc/prometheus:ro"), "--volume", &generated])
            .args(["--workdir", "/etc/prometheus", "--entrypoint", "sh", &image])
            .args(["-c", &format!("exec promtool {question}")])
            .time_limit(LIMIT)
            .output()?;
        if output.success() {
            findings.push(Finding::ok(ID, success).about(image.clone()));
            continue;
        }
        let said = format!("{}\n{}", output.stdout, output.stderr);
        let complaints = complaints(&said);
        let mut finding = Finding::error(ID, complaints).about(format!("promtool {question}"));
        if let Some((file, line)) = place(&said) {
            finding = finding.at(relative(cx, &files::folder(&cx.root).join(file)), line);
        }
        findings.push(finding);
    }
    Ok(findings)
}

/// The image that Prometheus is configured to run on, or where that is not here the offline one.
fn prometheus_image(cx: &Context) -> Result<Option<String>> {
    for stack in cx.stacks_whatever_env_says(None)? {
        let Ok(service) = stack.service("prometheus") else { continue };
        for reference in [stack.image(service)?, service.offline_image.clone()] {
            // No engine is no image.
            if image::get(&reference).is_ok_and(|image| image.is_some()) {
                return Ok(Some(reference));
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
    fn praise_is_left_out() {
        assert_eq!(
            complaints("Checking a.yml\n  SUCCESS: 3 rules found\n\n  FAILED:\nb"),
            "  FAILED:\nb"
        );
    }
}
