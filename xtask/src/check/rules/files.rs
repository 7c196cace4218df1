//! Rule and case files, as far as the checks look into them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::host::followed;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A recording rule or an alert.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::check) struct Rule {
    /// An alert's name.
    #[serde(default)]
    pub(in crate::check) alert: Option<String>,
    /// A recorded series' name.
    #[serde(default)]
    pub(in crate::check) record: Option<String>,
    /// Its expression.
    pub(in crate::check) expr: String,
    /// What it adds to the labels of its expression.
    #[serde(default)]
    pub(in crate::check) labels: BTreeMap<String, String>,
    /// Its texts.
    #[serde(default)]
    pub(in crate::check) annotations: BTreeMap<String, String>,
    /// The file that it stands in.
    #[serde(skip)]
    pub(in crate::check) path: PathBuf,
    /// Its line there.
    #[serde(skip)]
    pub(in crate::check) line: Option<usize>,
}

impl Rule {
    /// An alert's name, or that of the recorded series.
    pub(in crate::check) fn name(&self) -> &str {
        self.alert.as_deref().or(self.record.as_deref()).unwrap_or_default()
    }

    /// How bad an alert is.
    pub(in crate::check) fn severity(&self) -> &str {
        self.labels.get("severity").map_or("", String::as_str)
    }

    /// The expression with single spaces.
    pub(in crate::check) fn spaced_expr(&self) -> String {
        self.expr.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[derive(Debug, Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// A file of promtool cases.
#[derive(Debug, Deserialize)]
pub(super) struct CaseFile {
    /// The rules that they are about, seen from the file's folder.
    rule_files: Vec<PathBuf>,
    /// The cases.
    pub(super) tests: Vec<Case>,
    /// The file.
    #[serde(skip)]
    pub(super) path: PathBuf,
}

impl CaseFile {
    /// All that promtool reads for it.
    pub(super) fn reads(&self) -> Vec<PathBuf> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let rules = self.rule_files.iter().map(|rules| folder.join(rules));
        std::iter::once(self.path.clone()).chain(rules).collect()
    }
}

/// What promtool calls a test group.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    /// Its name.
    #[serde(default)]
    pub(super) name: String,
    /// When which alerts are expected.
    #[serde(default)]
    pub(super) alert_rule_test: Vec<Moment>,
}

/// The alerts of one name at one time.
#[derive(Debug, Deserialize)]
pub(super) struct Moment {
    /// Their name.
    pub(super) alertname: String,
    /// Those that fire.
    #[serde(default)]
    pub(super) exp_alerts: Vec<yaml_serde::Value>,
}

/// `prometheus.yml`, as far as it says where the alerts' links begin.
#[derive(Debug, Deserialize)]
struct Configuration {
    global: Global,
}

#[derive(Debug, Deserialize)]
struct Global {
    external_labels: Links,
}

#[derive(Debug, Deserialize)]
struct Links {
    docs_url: String,
}

/// Where the pages of `docs/` are read by somebody who got an alert: `docs_url` among the external
/// labels of `prometheus.yml`, the one line that a fork changes.
///
/// # Errors
/// When the file cannot be read or has no such label.
pub fn docs_url(root: &Path) -> Result<String> {
    let path = folder(root).join("prometheus.yml");
    let configuration: Configuration = parse(&path, &read(&path)?)?;
    Ok(configuration.global.external_labels.docs_url)
}

/// Where Prometheus's files lie.
pub(super) fn folder(root: &Path) -> PathBuf {
    root.join("infrastructure/docker/monitoring/prometheus")
}

/// Every rule, by file and line.
pub(in crate::check) fn rules(root: &Path) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for path in yaml_files(&folder(root).join("rules"))? {
        let text = read(&path)?;
        let file: RuleFile = parse(&path, &text)?;
        // One alert may stand here several times.
        let mut after = 0;
        for mut rule in file.groups.into_iter().flat_map(|group| group.rules) {
            let names = [format!("alert: {}", rule.name()), format!("record: {}", rule.name())];
            let is_start = |line: &str| names.iter().any(|name| line.ends_with(name.as_str()));
            let found = text.lines().skip(after).position(is_start);
            rule.line = found.map(|index| after + index + 1);
            after = rule.line.unwrap_or(after);
            rule.path.clone_from(&path);
            rules.push(rule);
        }
    }
    Ok(rules)
}

/// Every file of cases.
pub(super) fn cases(root: &Path) -> Result<Vec<CaseFile>> {
    let paths = yaml_files(&folder(root).join("tests"))?;
    let load = |path: PathBuf| {
        let mut file: CaseFile = parse(&path, &read(&path)?)?;
        file.path = path;
        Ok(file)
    };
    paths.into_iter().map(load).collect()
}

/// The YAML files in `folder`, by name.
pub(super) fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = || format!("listing {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(listing)? {
        paths.push(entry.with_context(listing)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String> {
    followed::text(path).with_context(|| format!("reading {}", path.display()))
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    let reading = || format!("reading {}", path.display());
    let mut value: yaml_serde::Value = yaml_serde::from_str(text).with_context(reading)?;
    value.apply_merge().with_context(reading)?;
    yaml_serde::from_value(value).with_context(reading)
}
