//! The alerts that Prometheus has rules for, and their present state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::silences::Muted;
use crate::client::{Unanswered, http};
use crate::stack::url::Url;

/// An alerting rule.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// The alert's name.
    pub alert: String,
    /// `critical`, `warning`, `info` or `none`.
    pub severity: String,
    /// What it is about.
    pub service: String,
    /// `firing`, `pending` or `inactive`.
    pub state: String,
    /// How long it must hold before it fires.
    pub for_seconds: f64,
    /// Why Prometheus cannot evaluate it, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The labels as the rule writes them, templates among them.
    pub labels: BTreeMap<String, String>,
    /// What fires or is about to.
    pub active: Vec<Active>,
}

/// One alert of a rule.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Active {
    /// `firing` or `pending`.
    pub state: String,
    /// Since when it has held; RFC 3339.
    pub active_at: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Summary, description, links.
    pub annotations: BTreeMap<String, String>,
    /// Why AlertManager tells nobody of it.
    #[serde(skip_deserializing)]
    pub muted: Option<Muted>,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Answered>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    name: String,
    state: String,
    duration: f64,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    last_error: String,
    alerts: Vec<Active>,
}

/// Every alerting rule of the Prometheus at `url`, what fires first.
///
/// # Errors
/// When it does not answer.
pub fn list(url: &Url) -> Result<Vec<Rule>, Unanswered> {
    let answer: Answer = http::get_json(url, "/api/v1/rules?type=alert")?;
    let rules = answer.data.groups.into_iter().flat_map(|group| group.rules);
    let mut rules: Vec<_> = rules.map(Rule::from).collect();
    let rank = |word: &str, order: &[&str]| order.iter().position(|known| *known == word);
    rules.sort_by_key(|rule| {
        let state = rank(&rule.state, &["firing", "pending"]).unwrap_or(usize::MAX);
        let severity = rank(&rule.severity, &["critical", "warning", "info"]);
        (state, severity.unwrap_or(usize::MAX), rule.alert.clone())
    });
    Ok(rules)
}

impl From<Answered> for Rule {
    fn from(rule: Answered) -> Self {
        let label = |name: &str| rule.labels.get(name).cloned().unwrap_or_default();
        let (severity, service) = (label("severity"), label("service"));
        Self {
            severity,
            service,
            alert: rule.name,
            state: rule.state,
            for_seconds: rule.duration,
            error: Some(rule.last_error).filter(|error| !error.is_empty()),
            active: rule.alerts,
            labels: rule.labels,
        }
    }
}
