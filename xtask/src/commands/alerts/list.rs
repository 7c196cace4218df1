//! `cargo xtask alerts list`.

use anyhow::Result;
use serde_json::json;

use super::{alertmanager, all_rules};
use crate::alerts::rules::{Active, Rule};
use crate::alerts::silences::{self, Received, Silence};
use crate::context::Context;
use crate::report::table::{self, Cell};
use crate::report::{BAD, DIM, GOOD, WARNING};
use crate::stack::Stack;

/// List every alert rule and its state, and the silences
///
/// `silenced` fires and is kept from people by a silence, `inhibited` by a worse alert about the same.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what fires now
    #[arg(long)]
    firing: bool,
}

impl Args {
    pub(super) fn run(self, cx: &Context, stack: &Stack) -> Result<()> {
        let mut rules = all_rules(stack)?;
        let url = alertmanager(stack)?;
        let (received, silences) = match (Received::ask(&url), silences::list(&url)) {
            (Ok(received), Ok(silences)) => (received, silences),
            (Err(why), _) | (_, Err(why)) => {
                cx.report.warning(format!("what is silenced is unknown: AlertManager: {why}"));
                (Received::default(), Vec::new())
            }
        };
        for active in rules.iter_mut().flat_map(|rule| &mut rule.active) {
            active.muted = received.muted(&active.labels);
        }
        if self.firing {
            rules.retain(|rule| rule.state == "firing");
            rules.iter_mut().for_each(|rule| rule.active.retain(|one| one.state == "firing"));
        }
        let rows: Vec<_> = rules.iter().flat_map(rows).collect();
        let head = ["ALERT", "SEVERITY", "SERVICE", "STATE", "SINCE", "WHAT"];
        cx.report.line(table::lines(&head, &rows).join("\n"));
        if !silences.is_empty() {
            let rows: Vec<_> = silences.iter().map(silence_row).collect();
            let head = ["SILENCE", "OF", "UNTIL", "BY", "WHY"];
            cx.report.line(format!("\n{}", table::lines(&head, &rows).join("\n")));
        }
        let document = json!({ "alerts": rules, "silences": silences });
        cx.report.document("xtask.alerts/v1", &document)
    }
}

/// One of each alert that is active, and one of a rule without any.
fn rows(rule: &Rule) -> Vec<Vec<Cell>> {
    if rule.active.is_empty() {
        return vec![inactive(rule)];
    }
    rule.active.iter().map(|active| active_row(rule, active)).collect()
}

fn inactive(rule: &Rule) -> Vec<Cell> {
    let what = match &rule.error {
        Some(error) => format!("cannot be evaluated: {error}"),
        None => others(rule),
    };
    vec![
        rule.alert.as_str().into(),
        rule.severity.as_str().into(),
        written(&rule.service).unwrap_or("-").into(),
        Cell::styled(rule.state.as_str(), DIM),
        "".into(),
        what.into(),
    ]
}

/// What tells rules of one name apart: the metric that is missed, for one.
fn others(rule: &Rule) -> String {
    let own = |name: &str| ["severity", "service"].contains(&name);
    let labels = rule.labels.iter().filter(|(name, _)| !own(name));
    let known = labels.filter_map(|(name, value)| Some(format!("{name}: {}", written(value)?)));
    known.collect::<Vec<_>>().join(", ")
}

/// A label's value where the rule has one, and not a template that each alert fills.
fn written(value: &str) -> Option<&str> {
    (!value.contains("{{")).then_some(value)
}

fn active_row(rule: &Rule, active: &Active) -> Vec<Cell> {
    let label = |name: &str| active.labels.get(name).cloned().unwrap_or_default();
    let (state, style) = match (active.muted, active.state.as_str()) {
        (Some(muted), "firing") => (muted.word(), DIM),
        // The one that always fires is to be there.
        (_, "firing") if rule.severity == "none" => ("firing", GOOD),
        (_, "firing") => ("firing", BAD),
        (_, other) => (other, WARNING),
    };
    let since = active.active_at.get(..19).unwrap_or(&active.active_at);
    vec![
        rule.alert.as_str().into(),
        label("severity").into(),
        label("service").into(),
        Cell::styled(state, style),
        format!("{since}Z").into(),
        active.annotations.get("summary").cloned().unwrap_or_default().into(),
    ]
}

fn silence_row(silence: &Silence) -> Vec<Cell> {
    vec![
        silence.id.get(..8).unwrap_or(&silence.id).into(),
        silence.what().into(),
        silence.ends_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
        silence.created_by.as_str().into(),
        silence.comment.as_str().into(),
    ]
}
