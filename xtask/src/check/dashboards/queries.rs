//! Whom the panels ask, and with which variables.

use serde_json::Value;

use super::board::{Board, Panel, Variable, is_constant, list, text};
use crate::check::promql;
use crate::report::finding::Finding;

/// The uid of the provisioned datasource (grafana/provisioning/datasources).
const DATASOURCE: &str = "prometheus";
/// What an operator chooses on every page.
const CHOICES: [&str; 2] = ["job", "instance"];
/// Panels that make one value of each series.
const ONE_VALUE: [&str; 5] = ["bargauge", "gauge", "piechart", "stat", "table"];

pub(super) fn check(board: &Board) -> Vec<Finding> {
    let mut findings = datasources(board);
    findings.extend(variables(board));
    findings.extend(ratios(board));
    findings.extend(stale(board));
    findings
}

fn datasources(board: &Board) -> Vec<Finding> {
    let mut asking: Vec<(String, &Value)> = Vec::new();
    for panel in board.panels().filter(|panel| !panel.json["targets"].is_null()) {
        asking.push((panel.pointer(), panel.json));
        let targets = list(&panel.json["targets"]).enumerate();
        asking.extend(targets.map(|(i, json)| (format!("{}/targets/{i}", panel.pointer()), json)));
    }
    for (pointer, json) in [
        ("/templating/list", &board.json["templating"]),
        ("/annotations/list", &board.json["annotations"]),
    ] {
        let own = list(&json["list"])
            .enumerate()
            .filter(|(_, json)| json["builtIn"] != 1 && !is_constant(json));
        asking.extend(own.map(|(i, json)| (format!("{pointer}/{i}"), json)));
    }
    let wrong = |(pointer, json): &(String, &Value)| {
        let found = match &json["datasource"] {
            Value::Object(datasource) if datasource.get("uid")? == DATASOURCE => return None,
            Value::Null => "names no datasource, so Grafana takes its default".to_owned(),
            other => format!("asks the datasource {other}"),
        };
        let finding = board.error("dashboard.datasource", pointer, found);
        Some(finding.needs(format!("\"uid\": \"{DATASOURCE}\"")))
    };
    asking.iter().filter_map(wrong).collect()
}

fn variables(board: &Board) -> Vec<Finding> {
    const ID: &str = "dashboard.variable";
    const PLACE: &str = "/templating/list";
    let known = board.variables();
    let queries = board.queries();
    let of_variables = known.iter().map(|known| (PLACE, known.query));
    let of_panels = queries.iter().map(|query| (query.pointer.as_str(), query.expression));
    let asked: Vec<_> = of_variables.chain(of_panels).collect();
    let mut findings = Vec::new();
    for name in CHOICES.iter().filter(|name| known.iter().all(|known| known.name != **name)) {
        findings.push(board.error(ID, PLACE, format!("has no variable `{name}`")));
    }
    for Variable { name, .. } in &known {
        if !asked.iter().any(|(_, expression)| references(expression).any(|used| used == *name)) {
            findings.push(board.error(ID, PLACE, format!("no query uses the variable `{name}`")));
        }
    }
    for (pointer, expression) in asked {
        let is_unknown =
            |name: &&str| !name.starts_with("__") && known.iter().all(|known| known.name != *name);
        if let Some(name) = references(expression).find(is_unknown) {
            findings.push(board.error(ID, pointer, format!("there is no variable `{name}`")));
        }
    }
    findings
}

/// The variables that `expression` names, as `$name` or `${name:format}`.
fn references(expression: &str) -> impl Iterator<Item = &str> {
    expression.split('$').skip(1).map(|after| {
        let name = after.strip_prefix('{').unwrap_or(after);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &name[..end.unwrap_or(name.len())]
    })
}

/// The rules record ratios from 0 to 1; people read percent.
fn ratios(board: &Board) -> Vec<Finding> {
    let is_ratio =
        |expression| promql::metrics(expression).iter().any(|name| name.contains(":ratio"));
    let wrong = board.panels().filter(|panel| {
        panel.unit() != "percentunit"
            && list(&panel.json["targets"]).any(|target| is_ratio(text(&target["expr"])))
    });
    wrong
        .map(|panel| {
            let found = format!("shows a ratio in `{}`", panel.unit());
            board.panel_error("dashboard.unit", panel, found).needs("percentunit")
        })
        .collect()
}

/// A tile that reduces a range of time to its last value stays green for hours after the data have
/// ended.
fn stale(board: &Board) -> Vec<Finding> {
    let of_range = |panel: &Panel<'_>| {
        ONE_VALUE.contains(&panel.kind())
            && list(&panel.json["targets"]).any(|it| it["instant"] != true)
    };
    board
        .panels()
        .filter(of_range)
        .map(|panel| {
            let found = "shows the last value known, however old it is";
            board.panel_error("dashboard.stale", panel, found).needs("a query of type instant")
        })
        .collect()
}
