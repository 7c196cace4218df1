//! Every mistake, made in the repository's own dashboards, is found.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::check::dashboards::metrics::Known;
use crate::report::advice::Xtask;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn texts() -> Vec<(String, String)> {
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files(root()).unwrap().into_iter().map(read).collect()
}

fn found(boards: &[Board]) -> Vec<Finding> {
    let rules = Rules::load(root()).unwrap();
    compare(boards, &rules, &Known::load(root()).unwrap())
}

/// The findings after `change` of the dashboard called `name`, kept in the normal form.
fn after(name: &str, change: impl Fn(&mut Value)) -> Vec<Finding> {
    let board = |(of, text): (String, String)| {
        let mut json: Value = serde_json::from_str(&text).unwrap();
        if of == name {
            change(&mut json);
        }
        Board::parse(&of, &of, &form::normal(&json)).unwrap()
    };
    found(&texts().into_iter().map(board).collect::<Vec<_>>())
}

/// The panel with this title.
fn panel<'a>(board: &'a mut Value, title: &str) -> &'a mut Value {
    let mut panels = board["panels"].as_array_mut().unwrap().iter_mut();
    panels.find(|panel| panel["title"] == title).unwrap()
}

const LATENCY: &str = "95th percentile by instance";

#[test]
fn the_dashboards_are_free_of_findings() {
    let board = |(name, text): (String, String)| Board::parse(&name, &name, &text).unwrap();
    let findings = found(&texts().into_iter().map(board).collect::<Vec<_>>());
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn every_mistake_in_a_panel_is_found_on_its_line() {
    type Change = (&'static str, &'static str, Value);
    let changes: [Change; 17] = [
        ("dashboard.panel-id", "/id", json!(1)),
        ("dashboard.title", "/title", json!("Slowest routes")),
        ("dashboard.description", "/description", json!("")),
        ("dashboard.panel-type", "/type", json!("grafana-piechart-panel")),
        ("dashboard.panel-type", "/type", json!("graph")),
        ("dashboard.datasource", "/datasource", Value::Null),
        ("dashboard.datasource", "/targets/0/datasource/uid", json!("${DS_PROMETHEUS}")),
        ("dashboard.unit", "/fieldConfig/defaults/unit", json!("")),
        ("dashboard.unit", "/fieldConfig/defaults/unit", json!("seconds")),
        ("dashboard.overlap", "/gridPos/x", json!(6)),
        ("dashboard.overlap", "/gridPos/w", json!(13)),
        ("dashboard.threshold", "/fieldConfig/defaults/thresholds/steps/1/value", json!(0.25)),
        ("dashboard.threshold", "/fieldConfig/defaults/thresholds/steps/0/color", json!("red")),
        ("dashboard.threshold", "/fieldConfig/defaults/custom/thresholdsStyle/mode", json!("off")),
        ("dashboard.threshold", "/links", json!([])),
        ("dashboard.variable", "/targets/0/expr", json!("up{job=~\"$jobs\"}")),
        ("metric.unknown", "/targets/0/expr", json!("job:http_request:rate5m")),
    ];
    for (id, pointer, value) in changes {
        let findings = after("api-performance", |board| {
            *panel(board, LATENCY).pointer_mut(pointer).unwrap() = value.clone();
        });
        let finding = findings.iter().find(|finding| finding.id == id);
        let finding = finding.unwrap_or_else(|| panic!("{id} for {pointer}: {findings:#?}"));
        assert!(finding.line.is_some_and(|line| line > 1), "{finding}");
        assert!(findings.iter().all(|finding| finding.id == id), "{findings:#?}");
    }
}

#[test]
fn every_mistake_of_a_page_is_found() {
    let changes: [(&str, &str, Value); 8] = [
        ("dashboard.uid", "/uid", json!("api")),
        ("dashboard.schema", "/schemaVersion", json!(36)),
        ("dashboard.description", "/title", json!("")),
        ("dashboard.row", "/panels/0/title", json!("Overview")),
        ("dashboard.panel-type", "/panels/0/collapsed", json!(true)),
        ("dashboard.variable", "/templating/list/0/name", json!("service")),
        ("dashboard.datasource", "/templating/list/0/datasource/uid", json!("other")),
        ("dashboard.datasource", "/annotations/list/1/datasource", json!("Prometheus")),
    ];
    for (id, pointer, value) in changes {
        let findings =
            after("api-performance", |board| *board.pointer_mut(pointer).unwrap() = value.clone());
        assert!(findings.iter().any(|finding| finding.id == id), "{id}: {findings:#?}");
    }
}

#[test]
fn a_finding_names_file_line_and_panel() {
    let findings = after("api-performance", |board| {
        panel(board, LATENCY)["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] =
            json!(0.25);
    });
    let text = texts().into_iter().find(|(name, _)| name == "api-performance").unwrap().1;
    let line = text.lines().position(|line| line.contains(LATENCY)).unwrap() + 1;
    let said = format!(
        "api-performance:{line}: panel `{LATENCY}`: draws 0.25, which is not the level of \
         ApiLatencyHigh (needed: 0.2)"
    );
    assert_eq!(findings[0].to_string(), said);
}

#[test]
fn an_alert_whose_page_says_nothing_about_it_is_found() {
    let findings = after("system-health", |board| panel(board, "Databases")["links"] = json!([]));
    let found: Vec<_> =
        findings.iter().map(|finding| (finding.id, finding.subject.as_deref())).collect();
    let expected = ["RedisDown", "PostgresDown"].map(|name| ("dashboard.alert", Some(name)));
    assert_eq!(found, expected);
    for finding in &findings {
        let text = fs::read_to_string(root().join(finding.file.as_ref().unwrap())).unwrap();
        let line = text.lines().nth(finding.line.unwrap() - 1).unwrap();
        assert!(line.ends_with(&format!("alert: {}", finding.subject.as_ref().unwrap())), "{line}");
    }

    let findings = after("platform-stability", |board| {
        panel(board, "Time lost in the last hour")["fieldConfig"]["defaults"]["thresholds"] =
            json!({});
    });
    assert!(findings[0].to_string().ends_with("draws its 0.0144"), "{findings:#?}");
}

#[test]
fn a_tile_that_would_stay_green_without_data_is_found() {
    let findings = after("system-health", |board| {
        panel(board, "CPU")["targets"][0]["instant"] = json!(false);
    });
    assert_eq!(findings[0].id, "dashboard.stale", "{findings:#?}");
}

#[test]
fn a_file_that_is_no_dashboard_or_not_in_the_normal_form_is_found() {
    let (name, text) = texts().remove(0);
    let broken = text.replacen("\"panels\": [", "\"panels\": ,", 1);
    let line = text.lines().position(|line| line.contains("\"panels\": [")).unwrap() + 1;
    let finding = Board::parse(&name, &name, &broken).unwrap_err();
    assert_eq!((finding.id, finding.line), ("dashboard.json", Some(line)));
    assert_eq!(Board::parse(&name, &name, "{}").unwrap_err().id, "dashboard.json");

    let exported = text.replacen("\"id\": null", "\"id\": 7", 1);
    let board = Board::parse(&name, &name, &exported).unwrap();
    assert_eq!(board.check_form().unwrap().mend, Xtask::CheckFix.into());
    assert_eq!(form::normal(&board.json), text);
}

#[test]
fn a_fork_changes_the_address_of_its_docs_in_one_line() {
    let url = docs_url(root()).unwrap();
    let prometheus = root().join("infrastructure/docker/monitoring/prometheus");
    let times = |path: &Path| fs::read_to_string(path).unwrap().matches(&url).count();
    assert_eq!(times(&prometheus.join("prometheus.yml")), 1);
    for folder in ["rules", "tests"] {
        for entry in fs::read_dir(prometheus.join(folder)).unwrap() {
            assert_eq!(times(&entry.unwrap().path()), 0, "in {folder}");
        }
    }
    for (name, text) in texts() {
        let board = Board::parse(&name, &name, &text).unwrap();
        assert!(docs::check(&board, &url).is_none());
        let other = "https://example.org/docs";
        assert_eq!(docs::check(&board, other).unwrap().mend, Xtask::CheckFix.into());
        let fork = form::normal(&docs::with_url(&board.json, other));
        assert!(!fork.contains(&url), "{name}: all links begin with the constant");
        assert!(docs::check(&Board::parse(&name, &name, &fork).unwrap(), other).is_none());
    }
}
