//! The constant of a dashboard with which its links to runbooks begin. A dashboard can take it from
//! nowhere, so each repeats what `prometheus.yml` says, and `check --fix` brings it there.

use serde_json::Value;

use super::board::{Board, list};
use crate::report::advice::Xtask;
use crate::report::finding::Finding;

/// The constant's name.
pub(super) const DOCS: &str = "docs";

/// Whether the page's constant is `url`.
pub(super) fn check(board: &Board, url: &str) -> Option<Finding> {
    if list(&board.json["templating"]["list"]).any(|variable| *variable == constant(url)) {
        return None;
    }
    let found = format!("its constant `{DOCS}` is not the docs_url of prometheus.yml");
    let finding = board.error("dashboard.docs", "/templating/list", found).needs(url);
    Some(finding.mend(Xtask::CheckFix))
}

/// `board` with `url` as its constant, which is added where it is missing.
pub(super) fn with_url(board: &Value, url: &str) -> Value {
    let mut board = board.clone();
    if let Some(variables) = board["templating"]["list"].as_array_mut() {
        variables.retain(|variable| variable["name"] != DOCS);
        variables.push(constant(url));
    }
    board
}

/// As Grafana 9.5 exports it.
fn constant(url: &str) -> Value {
    serde_json::json!({
        "current": { "selected": false, "text": url, "value": url },
        "hide": 2,
        "name": DOCS,
        "query": url,
        "skipUrlSync": true,
        "type": "constant",
    })
}
