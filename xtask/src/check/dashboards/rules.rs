//! What the dashboards need to know of Prometheus's rules.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::docs::DOCS;
use crate::check::promql::{self, Limit};
use crate::check::rules::files::{self, Rule};
use crate::report::finding::Finding;

/// All rules of all files.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

/// An alert; several may have one name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alert<'a>(&'a Rule);

impl Rules {
    /// Reads them all.
    ///
    /// # Errors
    /// When a file cannot be read or is no rule file; the error names the line.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let mut rules = files::rules(root)?;
        for rule in &mut rules {
            // As findings show it.
            rule.path = rule.path.strip_prefix(root).unwrap_or(&rule.path).to_owned();
        }
        Ok(Self(rules))
    }

    /// Every alert.
    pub(super) fn alerts(&self) -> impl Iterator<Item = Alert<'_>> {
        self.0.iter().filter(|rule| rule.alert.is_some()).map(Alert)
    }

    /// The names of the recorded metrics.
    pub(super) fn recorded(&self) -> BTreeSet<&str> {
        self.0.iter().filter_map(|rule| rule.record.as_deref()).collect()
    }

    /// The metrics that each rule reads.
    pub(super) fn reads(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.0
            .iter()
            .flat_map(|rule| promql::metrics(&rule.expr).into_iter().map(move |name| (name, rule)))
    }
}

impl<'a> Alert<'a> {
    pub(super) fn name(self) -> &'a str {
        self.0.name()
    }

    /// How a panel links to its runbook.
    pub(super) fn runbook(self) -> String {
        format!("${{{DOCS}}}/runbooks/{}.md", self.name())
    }

    /// The uid of the dashboard that it sends people to.
    pub(super) fn dashboard(self) -> Option<&'a str> {
        let after = self.0.annotations.get("dashboard_url")?.split("/d/").nth(1)?;
        after.split(['/', '?']).next()
    }

    /// The level that the alert is about: the first number that it calls too much or too little.
    /// None where it is about something that is there or not, which it compares with 0 or by `==`.
    pub(super) fn level(self) -> Option<Limit<'a>> {
        let is_level =
            |limit: &Limit<'_>| limit.operator.starts_with(['<', '>']) && limit.value != 0.0;
        // What comes after `and` says when the alert counts, such as a floor of traffic.
        let condition = self.0.expr.split(" and ").next().unwrap_or_default();
        promql::limits(condition).into_iter().find(is_level)
    }

    /// An error of it.
    pub(super) fn error(self, id: &'static str, found: String) -> Finding {
        error(self.0, id, found).about(self.name())
    }
}

/// An error of a rule, where it stands.
pub(super) fn error(rule: &Rule, id: &'static str, found: String) -> Finding {
    Finding::error(id, found).at(rule.path.display().to_string(), rule.line)
}
