//! The alert rules, their cases and their runbooks.

mod cases;
pub(super) mod files;
mod promtool;
pub mod stated;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};

pub(super) use self::cases::every_alert_has_its_cases;
pub use self::files::docs_url;
use self::files::{Rule, rules};
pub(super) use self::promtool::accepts_rules_and_cases;
pub(super) use self::stated::thresholds_are_as_stated;
use super::relative;
use crate::context::Context;
use crate::host::followed;
use crate::report::finding::Finding;

const SEVERITIES: [&str; 4] = ["critical", "warning", "info", "none"];
/// The texts of an alert and how many characters of each a phone shows before it is unlocked.
const TEXTS: [(&str, usize); 2] = [("summary", 64), ("description", 120)];
/// What a runbook says after what the alert means.
const HEADINGS: [&str; 2] = ["## Confirm", "## Do"];
/// Where the links to dashboards begin.
const DASHBOARDS: &str = "{{ $externalLabels.grafana_url }}/d/";
/// What a value or a name that is filled in is taken to need.
const FILLED_IN: usize = 8;

/// Every alert says how bad, what, why and what to do, and every runbook belongs to an alert.
pub(super) fn alerts_are_complete(cx: &Context) -> Result<Vec<Finding>> {
    let folder = cx.root.join("docs/runbooks");
    let index = folder.join("README.md");
    let index = followed::text(&index).with_context(|| format!("reading {}", index.display()))?;
    let mut findings = Vec::new();
    let mut alerts = BTreeSet::new();
    for rule in rules(&cx.root)? {
        let mut wrong = |found: String| {
            let file = relative(cx, &rule.path);
            findings.push(
                Finding::error("rules.complete", found).about(rule.name()).at(file, rule.line),
            );
        };
        let Some(alert) = &rule.alert else {
            name_fits(&rule).into_iter().for_each(wrong);
            continue;
        };
        labels_and_texts(&rule).into_iter().for_each(&mut wrong);
        let page = format!("{alert}.md");
        match followed::text_optional(&folder.join(&page))? {
            None => wrong(format!("has no runbook docs/runbooks/{page}")),
            Some(text) => {
                let lacking =
                    HEADINGS.iter().filter(|heading| !text.lines().any(|l| l == **heading));
                lacking.for_each(|heading| wrong(format!("its runbook has no `{heading}`")));
            }
        }
        if !index.contains(&format!("]({page})")) {
            wrong("is missing in docs/runbooks/README.md".to_owned());
        }
        alerts.insert(page);
    }
    for page in pages(&folder)?.difference(&alerts) {
        findings.push(
            Finding::error("rules.complete", "is a runbook for an alert that does not exist")
                .at(format!("docs/runbooks/{page}"), None),
        );
    }
    if findings.is_empty() {
        let found = format!("{} alerts have severity, texts and a runbook", alerts.len());
        findings.push(Finding::ok("rules.complete", found));
    }
    Ok(findings)
}

fn labels_and_texts(rule: &Rule) -> Vec<String> {
    let mut wrong = Vec::new();
    if !SEVERITIES.contains(&rule.severity()) {
        wrong.push(format!(
            "the severity `{}` is not one of {}",
            rule.severity(),
            SEVERITIES.join(", ")
        ));
    }
    if !rule.labels.contains_key("service") {
        wrong.push("has no label `service`".to_owned());
    }
    for (name, most) in TEXTS {
        let text = rule.annotations.get(name).map_or("", |text| text.trim());
        match length(text) {
            0 => wrong.push(format!("has no {name}")),
            length if length > most => {
                wrong.push(format!("its {name} has {length} characters; a phone shows {most}"));
            }
            _ => {}
        }
    }
    let link = |name: &str| rule.annotations.get(name).map_or("", String::as_str);
    let runbook = format!("{{{{ $externalLabels.docs_url }}}}/runbooks/{}.md", rule.name());
    if link("runbook_url") != runbook {
        wrong.push(format!("its runbook_url is not `{runbook}`"));
    }
    if !link("dashboard_url").starts_with(DASHBOARDS) {
        wrong.push(format!("its dashboard_url does not begin with `{DASHBOARDS}`"));
    }
    wrong
}

/// The characters of a text once what stands in `{{ }}` is filled in.
fn length(text: &str) -> usize {
    let mut parts = text.split("{{");
    let first = parts.next().unwrap_or_default().chars().count();
    let rest = parts.map(|part| part.split_once("}}").map_or(part, |(_, rest)| rest));
    first + rest.map(|rest| FILLED_IN + rest.chars().count()).sum::<usize>()
}

/// What is wrong with the name of a recording rule, which is `level:metric:operations`.
fn name_fits(rule: &Rule) -> Vec<String> {
    let name = rule.name();
    let mut wrong = Vec::new();
    if name.split(':').count() != 3 || name.split(':').any(str::is_empty) {
        wrong.push("is not called level:metric:operations".to_owned());
    }
    let Some(window) = window(name) else { return wrong };
    for found in rule.expr.split('[').skip(1).filter_map(|rest| rest.split(']').next()) {
        if found != window {
            wrong.push(format!("is named after {window} and computed over {found}"));
        }
    }
    wrong
}

/// The window in the last word of a name: `5m` of `job:http_requests:rate5m`.
fn window(name: &str) -> Option<&str> {
    let last = name.rsplit([':', '_']).next()?;
    let window = last.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let number = window.strip_suffix(['s', 'm', 'h', 'd'])?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(window)
}

fn pages(folder: &std::path::Path) -> Result<BTreeSet<String>> {
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        pages.insert(entry.file_name().to_string_lossy().into_owned());
    }
    pages.remove("README.md");
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_long_as_people_read_it() {
        assert_eq!(length(""), 0);
        assert_eq!(length("half"), 4);
        assert_eq!(length("{{ $value | humanizePercentage }} of {{ $labels.x }}."), 8 + 4 + 8 + 1);
    }

    #[test]
    fn a_name_ends_with_its_window() {
        assert_eq!(window("job:http_requests:rate5m"), Some("5m"));
        assert_eq!(window("job:http_request_duration_seconds:p95_rate5m"), Some("5m"));
        assert_eq!(window("platform:availability:ratio_avg15d"), Some("15d"));
        assert_eq!(window("platform:up:max"), None);
        assert_eq!(window("instance:node_memory_utilisation:ratio"), None);
    }
}
