//! Every alert has promtool cases of all kinds.

use std::collections::BTreeSet;

use anyhow::Result;

use super::files::{Case, cases, rules};
use crate::check::relative;
use crate::context::Context;
use crate::report::finding::Finding;

/// What a case shows, by the words after the alert's name, and whether it shows it.
type Kind = (&'static str, fn(&[usize]) -> bool);

/// What every alert must have. The counts are the alerts that fire, in the order of time.
const KINDS: [Kind; 3] = [
    (": fires and resolves", fires_and_resolves),
    (": stays quiet just under", stays_quiet),
    (": stays quiet without ", stays_quiet),
];
/// What one must have that stays while nobody sees whether it is over.
const HELD: [Kind; 1] = [(": stays until ", ends_with_fewer)];
/// What one that always fires must have.
const ALWAYS: [Kind; 1] = [(": fires always", |fire| !fire.is_empty() && !fire.contains(&0))];

fn fires_and_resolves(fire: &[usize]) -> bool {
    let last = fire.iter().rposition(|count| *count > 0);
    fire.first() == Some(&0) && last.is_some_and(|last| fire[last + 1..].contains(&0))
}

fn ends_with_fewer(fire: &[usize]) -> bool {
    fire.last() < fire.iter().max()
}

fn stays_quiet(fire: &[usize]) -> bool {
    fire.first() == Some(&0)
}

pub(in crate::check) fn every_alert_has_its_cases(cx: &Context) -> Result<Vec<Finding>> {
    let rules = rules(&cx.root)?;
    let files = cases(&cx.root)?;
    let alerts: Vec<_> = rules.iter().filter(|rule| rule.alert.is_some()).collect();
    let names: BTreeSet<_> = alerts.iter().map(|rule| rule.name()).collect();
    let mut findings = Vec::new();
    for file in &files {
        let moments = file.tests.iter().flat_map(|case| &case.alert_rule_test);
        for moment in moments.filter(|moment| !names.contains(moment.alertname.as_str())) {
            findings.push(
                Finding::error("rules.cases", "no rule has this name")
                    .about(moment.alertname.clone())
                    .at(relative(cx, &file.path), None),
            );
        }
    }
    let all: Vec<_> = files.iter().flat_map(|file| &file.tests).collect();
    for name in &names {
        let first = alerts.iter().find(|rule| rule.name() == *name);
        let always = first.is_some_and(|rule| rule.severity() == "none");
        let kinds: &[Kind] = if always { &ALWAYS } else { &KINDS };
        let is_held = first.is_some_and(|rule| rule.expr.contains("ALERTS{"));
        let held: &[Kind] = if is_held { &HELD } else { &[] };
        for (words, shows) in kinds.iter().chain(held) {
            if !all.iter().any(|case| is_case(case, name, words, *shows)) {
                findings.push(
                    Finding::error("rules.cases", "no case shows that it does so")
                        .about(*name)
                        .needs(format!("a case in prometheus/tests/ called `{name}{words}`"))
                        .at(
                            first.map(|rule| relative(cx, &rule.path)).unwrap_or_default(),
                            first.and_then(|rule| rule.line),
                        ),
                );
            }
        }
    }
    if findings.is_empty() {
        let found = format!(
            "{} cases; each of {} alerts fires, resolves, and stays quiet under its threshold and without series",
            all.len(),
            names.len()
        );
        findings.push(Finding::ok("rules.cases", found));
    }
    Ok(findings)
}

fn is_case(case: &Case, alert: &str, words: &str, shows: fn(&[usize]) -> bool) -> bool {
    let is_called = case.name.strip_prefix(alert).is_some_and(|rest| rest.starts_with(words));
    let moments = case.alert_rule_test.iter().filter(|moment| moment.alertname == alert);
    let fire: Vec<_> = moments.map(|moment| moment.exp_alerts.len()).collect();
    is_called && shows(&fire)
}
