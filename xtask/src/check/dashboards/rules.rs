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
    /// The file that it stands in.
    pub file: &'a str,
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
            let written = file.groups.into_iter().flat_map(|group| group.rules);
            rules.extend(written.map(|what| Rule { file: name.clone(), what }));
        }
        Ok(Self(rules))
    }

    /// Every alert.
    pub(super) fn alerts(&self) -> impl Iterator<Item = Alert<'_>> {
        self.0.iter().filter_map(|Rule { file, what }| {
            let url = what.annotations.dashboard_url.as_deref();
            Some(Alert {
                name: what.alert.as_deref()?,
                file,
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

    /// The metrics that rules read, each with the file.
    pub(super) fn reads(&self) -> BTreeSet<(&str, &str)> {
        self.0
            .iter()
            .flat_map(|Rule { file, what }| {
                promql::metrics(&what.expr).into_iter().map(|name| (name, file.as_str()))
            })
            .collect()
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
