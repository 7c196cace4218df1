//! What the dashboards need to know of Prometheus's rules.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::files_in;
use crate::check::promql::{self, Limit};

/// Where they lie, from the repository's root.
const FOLDER: &str = "infrastructure/docker/monitoring/prometheus/rules";

/// All rules of all files.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    file: String,
    line: Option<usize>,
    what: Written,
}

/// A rule as it stands in the file; promtool judges the rest.
#[derive(Debug, Deserialize)]
struct Written {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Debug, Default, Deserialize)]
struct Annotations {
    runbook_url: Option<String>,
    dashboard_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    rules: Vec<Written>,
}

/// An alert; several may have one name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alert<'a> {
    pub name: &'a str,
    /// The file that it stands in, and the line.
    pub place: (&'a str, Option<usize>),
    /// Where its runbook is.
    pub runbook: &'a str,
    /// The uid of the dashboard that it sends people to.
    pub dashboard: Option<&'a str>,
    expression: &'a str,
}

impl Rules {
    /// Reads them all.
    ///
    /// # Errors
    /// When a file cannot be read or is no rule file; the error names the line.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let mut rules = Vec::new();
        for path in files_in(&root.join(FOLDER), "yml")? {
            let reading = || format!("reading {}", path.display());
            let text = fs::read_to_string(&path).with_context(reading)?;
            let file: File = yaml_serde::from_str(&text).with_context(reading)?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let mut lines = text.lines().enumerate();
            for what in file.groups.into_iter().flat_map(|group| group.rules) {
                // Rules stand in the file as in the list.
                let line = lines.find(|(_, line)| what.begins(line)).map(|(index, _)| index + 1);
                rules.push(Rule { file: name.clone(), line, what });
            }
        }
        Ok(Self(rules))
    }

    /// Every alert.
    pub(super) fn alerts(&self) -> impl Iterator<Item = Alert<'_>> {
        self.0.iter().filter_map(|Rule { file, line, what }| {
            let url = what.annotations.dashboard_url.as_deref();
            Some(Alert {
                name: what.alert.as_deref()?,
                place: (file, *line),
                runbook: what.annotations.runbook_url.as_deref().unwrap_or_default(),
                dashboard: url.and_then(|url| {
                    let after = url.split("/d/").nth(1)?;
                    after.split(['/', '?']).next()
                }),
                expression: &what.expr,
            })
        })
    }

    /// The names of the recorded metrics.
    pub(super) fn recorded(&self) -> BTreeSet<&str> {
        self.0.iter().filter_map(|rule| rule.what.record.as_deref()).collect()
    }

    /// The metrics that each rule reads, with its file and line.
    pub(super) fn reads(&self) -> impl Iterator<Item = (&str, &str, Option<usize>)> {
        self.0.iter().flat_map(|Rule { file, line, what }| {
            promql::metrics(&what.expr).into_iter().map(|name| (name, file.as_str(), *line))
        })
    }
}

impl Written {
    /// Whether the rule may begin on this line of its file.
    fn begins(&self, line: &str) -> bool {
        let line = line.trim_start_matches([' ', '-']);
        let is = |key, name: &Option<String>| {
            name.as_ref().is_some_and(|name| line == format!("{key}: {name}"))
        };
        is("alert", &self.alert) || is("record", &self.record)
    }
}

impl Alert<'_> {
    /// The level that the alert is about: the first number that it calls too much or too little.
    /// None where it is about something that is there or not, which it compares with 0 or by `==`.
    pub(super) fn level(&self) -> Option<Limit> {
        let is_level = |limit: &Limit| limit.operator.starts_with(['<', '>']) && limit.value != 0.0;
        promql::limits(self.expression).into_iter().find(is_level)
    }
}
