//! The dashboards show data: every query is put to a real Prometheus, with the repository's
//! configuration and rules, that scrapes the real exporters.

mod api;
mod grafana;
mod infrastructure;
mod lab;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use grafana::{unanswered, values};
use lab::Lab;
use tests::root;
use xtask::check::dashboards::{Board, files};

/// For containers that start on a busy machine, rates that need two scrapes, rules on rules.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn every_query_of_every_panel_returns_data_and_one_with_a_typo_is_named() {
    let lab = Lab::start();
    for board in boards() {
        wait_until_none(|| unanswered(lab.port, &board));
        a_typo_is_named(lab.port, board);
    }
    wait_until_none(|| unexported(lab.port));
}

fn a_typo_is_named(port: u16, mut board: Board) {
    for (typo, says) in [("no_such_metric", "no data"), ("sum(", "parse error")] {
        let panel = board.json["panels"].as_array_mut().unwrap().last_mut().unwrap();
        panel["targets"][0]["expr"] = typo.into();
        let title = panel["title"].as_str().unwrap().to_owned();
        let found = unanswered(port, &board);
        let names = |found: &String| [&*title, typo, says].iter().all(|word| found.contains(word));
        assert!(found.iter().any(names), "{found:?}");
    }
}

/// The metrics that docs/ lists and Prometheus has not.
fn unexported(port: u16) -> Vec<String> {
    let exported = values(port, "/api/v1/label/__name__/values", &[]).unwrap_or_default();
    listed().into_iter().filter(|name| !exported.contains(name)).collect()
}

fn listed() -> BTreeSet<String> {
    let lists = ["metrics.md", "api-metrics.md", "infrastructure-metrics.md"];
    let text = lists.map(|file| fs::read_to_string(root().join("docs").join(file)).unwrap());
    let lines = text.iter().flat_map(|text| text.lines());
    let names = lines.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

fn boards() -> Vec<Board> {
    let load = |path: &std::path::PathBuf| Board::load(path, "a dashboard").unwrap().unwrap();
    files(root()).unwrap().iter().map(load).collect()
}

#[track_caller]
fn wait_until_none(missing: impl Fn() -> Vec<String>) {
    let started = Instant::now();
    loop {
        let still = missing();
        if still.is_empty() {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{} missing:\n{}", still.len(), still.join("\n"));
        std::thread::sleep(Duration::from_secs(1));
    }
}
