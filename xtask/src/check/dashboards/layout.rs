//! What an operator sees: titles, rows that are questions, units, and no panel on another.

use std::collections::BTreeMap;

use super::board::{Board, Panel, text};
use crate::report::finding::Finding;

/// Panels that come with Grafana 9.5 and need no Angular (public/app/plugins/panel).
const PANELS: [&str; 20] = [
    "alertlist",
    "annolist",
    "barchart",
    "bargauge",
    "canvas",
    "candlestick",
    "dashlist",
    "gauge",
    "heatmap",
    "histogram",
    "logs",
    "news",
    "nodeGraph",
    "piechart",
    "row",
    "stat",
    "state-timeline",
    "status-history",
    "table",
    "timeseries",
];
/// Units in use (packages/grafana-data/src/valueFormats/categories.ts). Grafana shows one that it
/// does not know as it is written, behind the number.
const UNITS: [&str; 9] =
    ["none", "short", "percentunit", "s", "bytes", "Bps", "reqps", "ops", "cps"];
/// Columns of a dashboard.
const WIDTH: i64 = 24;

pub(super) fn check(board: &Board) -> Vec<Finding> {
    let mut findings = page(board);
    findings.extend(unique(board));
    findings.extend(overlapping(board));
    for panel in board.panels() {
        let rules = [kind(panel), question(panel), description(panel), unit(panel)];
        findings.extend(
            rules.into_iter().flatten().map(|(id, found)| board.panel_error(id, panel, found)),
        );
    }
    if !board.panels().next().is_some_and(Panel::is_row) {
        findings.push(board.error(
            "dashboard.row",
            "/panels",
            "the first panel has no row above it",
        ));
    }
    findings
}

type Found = Option<(&'static str, String)>;

fn page(board: &Board) -> Vec<Finding> {
    let mut findings = Vec::new();
    let uid = text(&board.json["uid"]);
    if uid != board.name {
        let found = format!("the uid is `{uid}`, so links to `{}` lead nowhere", board.name);
        findings.push(board.error("dashboard.uid", "", found).needs(board.name.as_str()));
    }
    if board.json["schemaVersion"] != 38 {
        let found = format!("schemaVersion is {}", board.json["schemaVersion"]);
        findings.push(board.error("dashboard.schema", "", found).needs("38, Grafana 9.5's"));
    }
    for key in ["title", "description"] {
        if text(&board.json[key]).is_empty() {
            findings.push(board.error("dashboard.description", "", format!("has no {key}")));
        }
    }
    findings
}

fn unique(board: &Board) -> Vec<Finding> {
    let (mut titles, mut ids) = (BTreeMap::new(), BTreeMap::new());
    let mut findings = Vec::new();
    for panel in board.panels() {
        if let Some(other) = ids.insert(panel.json["id"].to_string(), panel.title()) {
            let found = format!("has the id {} of panel `{other}`", panel.json["id"]);
            findings.push(board.panel_error("dashboard.panel-id", panel, found));
        }
        if titles.insert(panel.title(), ()).is_some() {
            findings.push(board.panel_error("dashboard.title", panel, "the title stands twice"));
        }
    }
    findings
}

fn overlapping(board: &Board) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut before: Vec<(Panel<'_>, [i64; 4])> = Vec::new();
    for panel in board.panels() {
        let side = |key: &str| panel.json["gridPos"][key].as_i64().unwrap_or(-1);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(side);
        if x < 0 || y < 0 || w < 1 || h < 1 || x + w > WIDTH {
            let found = format!("does not fit on a page of {WIDTH} columns");
            findings.push(board.panel_error("dashboard.overlap", panel, found));
        }
        for (other, [ox, oy, ow, oh]) in &before {
            if x < ox + ow && *ox < x + w && y < oy + oh && *oy < y + h {
                let found = format!("lies on panel `{}`", other.title());
                findings.push(board.panel_error("dashboard.overlap", panel, found));
            }
        }
        before.push((panel, [x, y, w, h]));
    }
    findings
}

fn kind(panel: Panel<'_>) -> Found {
    let kind = panel.kind();
    let found = match kind {
        "row" if panel.json["collapsed"] == true => {
            "is collapsed, so nobody sees what is under it".to_owned()
        }
        _ if PANELS.contains(&kind) => return None,
        "grafana-piechart-panel" => "needs a plugin; `piechart` comes with Grafana".to_owned(),
        _ => format!("`{kind}` does not come with Grafana, and a plugin may be missing"),
    };
    Some(("dashboard.panel-type", found))
}

fn question(panel: Panel<'_>) -> Found {
    let asks = !panel.is_row() || panel.title().ends_with('?');
    (!asks)
        .then(|| ("dashboard.row", "the title of a row is the question that it answers".to_owned()))
}

fn description(panel: Panel<'_>) -> Found {
    let missing = !panel.is_row() && text(&panel.json["description"]).is_empty();
    missing.then(|| ("dashboard.description", "has no description".to_owned()))
}

fn unit(panel: Panel<'_>) -> Found {
    let unit = panel.unit();
    let found = match unit {
        _ if panel.json["targets"].is_null() => return None,
        "" => "has no unit".to_owned(),
        _ if UNITS.contains(&unit) => return None,
        _ => format!("`{unit}` is not a unit that is used here"),
    };
    Some(("dashboard.unit", found))
}
