//! A line that a panel draws is an alert's, and an alert's page shows what the alert is about.
//!
//! A panel names an alert by a link to its runbook.

use super::board::{Board, Panel, list, text};
use super::rules::{Alert, Rules};
use crate::report::finding::Finding;

pub(super) fn check(board: &Board, rules: &Rules) -> Vec<Finding> {
    board.panels().flat_map(|panel| check_panel(board, panel, rules)).collect()
}

fn check_panel(board: &Board, panel: Panel<'_>, rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    let named = named(panel, rules);
    let levels: Vec<_> = named.iter().filter_map(Alert::level).collect();
    let steps = steps(panel);
    let wrong = |id, found: String| board.panel_error(id, panel, found);
    for step in steps.iter().filter(|step| levels.iter().all(|level| !is_same(**step, *level))) {
        let names: Vec<_> = named.iter().map(|alert| alert.name).collect();
        let found = match names.as_slice() {
            [] => format!("draws {step}, but links to no runbook, so to no alert"),
            names => format!("draws {step}, which is not the level of {}", names.join(" or ")),
        };
        findings.push(wrong("dashboard.threshold", found).needs(numbers(&levels)));
    }
    if !steps.is_empty() {
        for level in levels.iter().filter(|level| !steps.iter().any(|step| is_same(*step, **level)))
        {
            findings
                .push(wrong("dashboard.threshold", format!("does not draw the alert's {level}")));
        }
    }
    let custom = &panel.json["fieldConfig"]["defaults"]["custom"];
    let is_drawn = text(&custom["thresholdsStyle"]["mode"]) != "off";
    if panel.kind() == "timeseries" && !steps.is_empty() && !is_drawn {
        findings
            .push(wrong("dashboard.threshold", "has a threshold and does not draw it".to_owned()));
    }
    for url in runbooks(panel).filter(|url| rules.alerts().all(|alert| alert.runbook != *url)) {
        findings.push(wrong("dashboard.runbook", format!("{url} is the runbook of no alert")));
    }
    findings
}

/// Whether the page that an alert sends people to has a panel about it, and some panel draws its
/// level.
pub(super) fn check_alerts(boards: &[Board], rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for alert in rules.alerts() {
        let wrong = |found: String| {
            Finding::error("dashboard.alert", found).about(alert.name).at(alert.file, None)
        };
        let about = |panel: &Panel<'_>| runbooks(*panel).any(|url| url == alert.runbook);
        let Some(uid) = alert.dashboard else { continue };
        match boards.iter().find(|board| board.name == uid) {
            None => findings.push(wrong(format!("sends people to `{uid}`, which is no dashboard"))),
            Some(board) if !board.panels().any(|panel| about(&panel)) => findings.push(
                wrong(format!("sends people to `{uid}`, where no panel links to its runbook"))
                    .mend(format!("give a panel of {} a link to {}", board.file, alert.runbook)),
            ),
            Some(board) => {
                let Some(level) = alert.level() else { continue };
                let draws =
                    |panel: Panel<'_>| steps(panel).iter().any(|step| is_same(*step, level));
                if !board.panels().any(|panel| about(&panel) && draws(panel)) {
                    findings.push(wrong(format!("no panel of `{uid}` draws its {level}")));
                }
            }
        }
    }
    findings
}

fn named<'a>(panel: Panel<'_>, rules: &'a Rules) -> Vec<Alert<'a>> {
    rules.alerts().filter(|alert| runbooks(panel).any(|url| url == alert.runbook)).collect()
}

/// The runbooks that the panel links to.
fn runbooks(panel: Panel<'_>) -> impl Iterator<Item = &str> {
    let urls = list(&panel.json["links"]).map(|link| text(&link["url"]));
    urls.filter(|url| url.contains("/docs/runbooks/"))
}

/// The numbers at which the colour changes.
fn steps(panel: Panel<'_>) -> Vec<f64> {
    let steps = list(&panel.json["fieldConfig"]["defaults"]["thresholds"]["steps"]);
    steps.filter_map(|step| step["value"].as_f64()).collect()
}

/// The same but for the last digits, which 14.4 * (1 - 0.999) has.
fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

fn numbers(levels: &[f64]) -> String {
    match levels {
        [] => "no threshold, or a link to the runbook of the alert that has it".to_owned(),
        levels => levels.iter().map(f64::to_string).collect::<Vec<_>>().join(", "),
    }
}
