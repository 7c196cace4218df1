//! A line that a panel draws is an alert's, and an alert's page shows what the alert is about.
//!
//! A panel names an alert by a link to its runbook.

use super::board::{Board, Panel, list, text};
use super::rules::{Alert, Rules};
use crate::check::promql::Limit;
use crate::report::finding::Finding;

pub(super) fn check(board: &Board, rules: &Rules) -> Vec<Finding> {
    board.panels().flat_map(|panel| check_panel(board, panel, rules)).collect()
}

fn check_panel(board: &Board, panel: Panel<'_>, rules: &Rules) -> Vec<Finding> {
    let named: Vec<_> =
        rules.alerts().filter(|alert| runbooks(panel).any(|url| url == alert.runbook())).collect();
    let strangers = strangers(panel, &named).map(|(found, needed)| {
        board.panel_error("dashboard.threshold", panel, found).needs(needed)
    });
    let drawing = drawing(panel, &named).into_iter();
    let drawing = drawing.map(|found| board.panel_error("dashboard.threshold", panel, found));
    let lost = runbooks(panel).filter(|url| rules.alerts().all(|alert| alert.runbook() != *url));
    let lost = lost.map(|url| {
        let found = format!("{url} is the runbook of no alert");
        board.panel_error("dashboard.runbook", panel, found)
    });
    strangers.chain(drawing).chain(lost).collect()
}

/// Steps that are no level of an alert that the panel names, and what they should be.
fn strangers(panel: Panel<'_>, named: &[Alert<'_>]) -> impl Iterator<Item = (String, String)> {
    let levels: Vec<_> =
        named.iter().filter_map(|alert| alert.level()).map(|level| level.value).collect();
    let names: Vec<_> = named.iter().map(|alert| alert.name()).collect();
    let names = names.join(" or ");
    steps(panel).into_iter().filter_map(move |step| {
        if levels.iter().any(|level| is_same(step, *level)) {
            return None;
        }
        let found = match names.as_str() {
            "" => format!("draws {step}, but links to no runbook, so to no alert"),
            names => format!("draws {step}, which is not the level of {names}"),
        };
        let levels: Vec<_> = levels.iter().map(|level| shown(*level).to_string()).collect();
        let needed = match levels.as_slice() {
            [] => "no threshold, or a link to the runbook of its alert".to_owned(),
            levels => levels.join(", "),
        };
        Some((found, needed))
    })
}

/// How the panel draws the levels of the alerts that it names, if it draws any.
fn drawing(panel: Panel<'_>, named: &[Alert<'_>]) -> Vec<String> {
    let steps = steps(panel);
    if steps.is_empty() {
        return Vec::new();
    }
    let defaults = &panel.json["fieldConfig"]["defaults"];
    let mut found = Vec::new();
    for Limit { operator, value } in named.iter().filter_map(|alert| alert.level()) {
        if !steps.iter().any(|step| is_same(*step, value)) {
            found.push(format!("does not draw the alert's {}", shown(value)));
        }
        let below = if operator.starts_with('<') { "red" } else { "green" };
        let lowest = text(&defaults["thresholds"]["steps"][0]["color"]);
        if lowest != below {
            found.push(format!("is {lowest} below {}, not {below}", shown(value)));
        }
    }
    if panel.kind() == "timeseries" && text(&defaults["custom"]["thresholdsStyle"]["mode"]) == "off"
    {
        found.push("has a threshold and does not draw it".to_owned());
    }
    found
}

/// Whether the page that an alert sends people to has a panel about it, and some panel draws its
/// level.
pub(super) fn check_alerts(boards: &[Board], rules: &Rules) -> Vec<Finding> {
    let mut findings = Vec::new();
    for alert in rules.alerts() {
        let wrong = |found| alert.error("dashboard.alert", found);
        let about = |panel: &Panel<'_>| runbooks(*panel).any(|url| url == alert.runbook());
        let Some(uid) = alert.dashboard() else { continue };
        match boards.iter().find(|board| board.name == uid) {
            None => {
                findings.push(wrong(format!("sends people to `{uid}`, which is not a dashboard")))
            }
            Some(board) if !board.panels().any(|panel| about(&panel)) => findings.push(
                wrong(format!("sends people to `{uid}`, where no panel links to its runbook"))
                    .mend(format!("give a panel of {} a link to {}", board.file, alert.runbook())),
            ),
            Some(board) => {
                let Some(Limit { value: level, .. }) = alert.level() else { continue };
                let draws =
                    |panel: Panel<'_>| steps(panel).iter().any(|step| is_same(*step, level));
                if !board.panels().any(|panel| about(&panel) && draws(panel)) {
                    findings.push(wrong(format!("no panel of `{uid}` draws its {}", shown(level))));
                }
            }
        }
    }
    findings
}

/// The runbooks that the panel links to.
fn runbooks(panel: Panel<'_>) -> impl Iterator<Item = &str> {
    let urls = list(&panel.json["links"]).map(|link| text(&link["url"]));
    urls.filter(|url| url.contains("/runbooks/"))
}

/// The numbers at which the colour changes.
fn steps(panel: Panel<'_>) -> Vec<f64> {
    let steps = list(&panel.json["fieldConfig"]["defaults"]["thresholds"]["steps"]);
    steps.filter_map(|step| step["value"].as_f64()).collect()
}

fn is_same(one: f64, other: f64) -> bool {
    shown(one) == shown(other)
}

/// Without the last digits, which are not nought in 14.4 * (1 - 0.999).
fn shown(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}
