//! The dashboards: whether they look alike, ask for metrics that exist, and say what the alerts say.

mod board;
mod docs;
mod form;
mod layout;
mod metrics;
mod queries;
mod rules;
#[cfg(test)]
mod tests;
mod thresholds;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub use self::board::{Board, Query, Variable};
use self::rules::Rules;
use super::relative;
use super::rules::docs_url;
use crate::context::Context;
use crate::plan::Plan;
use crate::report::finding::Finding;

/// Where they lie, from the repository's root.
const FOLDER: &str = "infrastructure/docker/monitoring/grafana/dashboards";

/// Whether the dashboards are as docs/dashboards.md says; at least one finding.
///
/// # Errors
/// When a dashboard, a rule file or a list of metrics cannot be read.
pub fn agree(cx: &Context) -> Result<Vec<Finding>> {
    let rules = Rules::load(&cx.root)?;
    let known = metrics::Known::load(&cx.root)?;
    let mut boards = Vec::new();
    let mut findings = Vec::new();
    for path in files(&cx.root)? {
        match Board::load(&path, &relative(cx, &path))? {
            Ok(board) => boards.push(board),
            Err(finding) => findings.push(*finding),
        }
    }
    let url = docs_url(&cx.root)?;
    findings.extend(boards.iter().filter_map(|board| docs::check(board, &url)));
    findings.extend(compare(&boards, &rules, &known));
    if findings.is_empty() {
        let names: Vec<_> = boards.iter().map(|board| board.name.as_str()).collect();
        let found = format!("{} agree with the rules and the metrics", names.join(", "));
        findings.push(Finding::ok("dashboard.agrees", found));
    }
    Ok(findings)
}

fn compare(boards: &[Board], rules: &Rules, known: &metrics::Known) -> Vec<Finding> {
    let of_board = |board| {
        let mut findings = layout::check(board);
        findings.extend(board.check_form());
        findings.extend(queries::check(board));
        findings.extend(thresholds::check(board, rules));
        findings
    };
    let mut findings: Vec<_> = boards.iter().flat_map(of_board).collect();
    findings.extend(thresholds::check_alerts(boards, rules));
    findings.extend(metrics::check(boards, rules, known));
    findings
}

/// The steps that put every dashboard into the normal form, with the present address of `docs/`.
///
/// # Errors
/// When a file cannot be read.
pub fn tidy(root: &Path) -> Result<Plan> {
    let url = docs_url(root)?;
    let mut plan = Plan::new();
    for path in files(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let Ok(board) = Board::load(&path, &name)? else { continue };
        let json = docs::with_url(&board.json, &url);
        if !board.is_normal || json != board.json {
            let text = form::normal(&json);
            plan.edit(format!("put {name} into the normal form"), path, text, 0o644);
        }
    }
    Ok(plan)
}

/// The dashboard files, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join(FOLDER);
    let reading = || format!("reading {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
