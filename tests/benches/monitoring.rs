//! The monitoring stack: how soon it is ready, what it takes when nothing happens, and how long
//! its rules take with more and more instances of the API.
//! `cargo bench -p tests --bench monitoring` prints these; it takes about eight minutes.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use tests::api::{Behaviour, SyntheticApi};
use tests::composes::FULL;
use tests::{Site, net};

const ROUNDS: usize = 3;
/// Looks at an idle stack; each takes about two seconds.
const LOOKS: usize = 20;
/// Evaluations of every rule for each number of instances; there is one every 15 seconds.
const EVALUATIONS: usize = 5;
const INSTANCES: [usize; 3] = [1, 10, 100];
const HEALTHY: Behaviour = Behaviour { traffic: 50.0, latency: 0.04, errors: 0.01 };

fn main() {
    let site = Site::new("bench-mon", &[FULL[1]]);
    site.xtask(&["env", "init", "monitoring"]).succeeds();
    site.monitoring().set_env("PROMETHEUS_MEM_LIMIT", "2gb");
    site.monitoring().set_env("COMPOSE_PROFILES", "containers");
    ready(&site);
    idle(&site);
    rules(&site);
}

/// How long until every service answers.
fn ready(site: &Site) {
    let words = [&["up", "monitoring", "--quiet"], Site::images()].concat();
    let up = || site.command(&words);
    let files = ["--file", "docker-compose.yml", "--file", "docker-compose.overlay.yml"];
    let compose = || {
        let mut command = Command::new("docker");
        site.environment(&mut command);
        command.arg("compose").args(files);
        command.args(["up", "--detach", "--wait"]).current_dir(site.monitoring().folder());
        command
    };
    println!("{:<30} {:>8.2} s", "up monitoring, from nothing", time(up()));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        site.xtask(&["down", "monitoring"]).succeeds();
        times[0].push(time(up()));
        site.xtask(&["down", "monitoring"]).succeeds();
        // Compose alone does not make the network that `down` has removed.
        site.xtask(&[&["setup", "monitoring"], Site::images()].concat()).succeeds();
        times[1].push(time(compose()));
    }
    let [ours, theirs] = times.map(median);
    println!(
        "{:<30} {ours:>8.2} s   docker compose up --detach --wait {theirs:>8.2} s   {:>5.2}",
        "up monitoring, from down",
        ours / theirs
    );
}

/// What each service takes of its limits while nobody asks for anything.
fn idle(site: &Site) {
    // Compose has started it without what `up` waits for.
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    let looks: Vec<_> = (0..LOOKS).map(|_| look(site)).collect();
    println!(
        "\n{:<18} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7}",
        "idle", "memory", "limit", "used", "CPU mean", "CPU most", "shares"
    );
    for (index, service) in looks[0].iter().enumerate() {
        let of = |name: &str| {
            looks.iter().map(|look| look[index][name].as_f64().unwrap()).collect::<Vec<_>>()
        };
        let (memory, cpu) = (most(&of("memory_bytes")), of("cpu_percent"));
        let limit = service["memory_limit_bytes"].as_f64().unwrap();
        println!(
            "{:<18} {:>6.0} MB {:>6.0} MB {:>5.0} % {:>7.2} % {:>7.2} % {:>7}",
            service["service"].as_str().unwrap(),
            megabytes(memory),
            megabytes(limit),
            100.0 * memory / limit,
            cpu.iter().sum::<f64>() / cpu.len() as f64,
            most(&cpu),
            service["cpu_shares"],
        );
    }
}

fn look(site: &Site) -> Vec<Value> {
    let status = site.xtask(&["status", "monitoring", "--json"]).succeeds().json();
    status["services"].as_array().unwrap().clone()
}

/// How long one evaluation of all rules takes.
fn rules(site: &Site) {
    println!(
        "\n{:<14} {:>8} {:>12} {:>12}   {:<16} {:>9}",
        "API instances", "series", "all rules", "most in one", "group", "memory"
    );
    let image = Site::offline_or("prometheus", "2.42", "prom/prometheus:v2.45.0");
    let mut apis = Vec::new();
    for instances in INSTANCES {
        apis.resize_with(instances, || SyntheticApi::start(&image, HEALTHY));
        let mut targets = "- targets:\n".to_owned();
        apis.iter().for_each(|api| writeln!(targets, "  - '{}'", api.address()).unwrap());
        let folder = site.monitoring().folder();
        fs::write(folder.join("prometheus/targets/api.yml"), targets).unwrap();
        net::eventually("every instance has its recorded series", || {
            value(site, "count(instance_job:http_request_duration_seconds:p95_rate5m)")
                == Some(instances as f64)
        });
        let evaluations = evaluations(site);
        let sum = |groups: &[(String, f64)]| groups.iter().map(|(_, time)| time).sum::<f64>();
        let all = median(evaluations.iter().map(|groups| sum(groups)).collect());
        let slowest = evaluations.iter().flatten().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        let prometheus = look(site).into_iter().find(|one| one["service"] == "prometheus").unwrap();
        println!(
            "{instances:<14} {:>8} {:>9.1} ms {:>9.1} ms   {:<16} {:>6.0} MB",
            value(site, "prometheus_tsdb_head_series").unwrap(),
            1000.0 * all,
            1000.0 * slowest.1,
            slowest.0,
            megabytes(prometheus["memory_bytes"].as_f64().unwrap()),
        );
    }
}

/// The seconds that each group took, in so many evaluations.
fn evaluations(site: &Site) -> Vec<Vec<(String, f64)>> {
    let mut found = Vec::new();
    let mut last = String::new();
    while found.len() < EVALUATIONS {
        net::eventually("the rules are evaluated", || {
            let answer = ask(site, "/api/v1/rules");
            let groups = answer["data"]["groups"].as_array().unwrap();
            let times: Vec<_> = groups
                .iter()
                .map(|group| {
                    let name = group["name"].as_str().unwrap().to_owned();
                    (name, group["evaluationTime"].as_f64().unwrap())
                })
                .collect();
            let api = groups.iter().find(|group| group["name"] == "api").unwrap();
            let now = api["lastEvaluation"].as_str().unwrap().to_owned();
            let is_new = now != last;
            last = now;
            if is_new {
                found.push(times);
            }
            is_new
        });
    }
    found
}

fn value(site: &Site, query: &str) -> Option<f64> {
    let answer = ask(site, &format!("/api/v1/query?query={query}"));
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

fn ask(site: &Site, path: &str) -> Value {
    let monitoring = site.monitoring();
    let password = monitoring.env("PROMETHEUS_PASSWORD");
    let (status, body) = net::ask("GET", monitoring.port("PROMETHEUS_PORT"), path, Some(&password));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn time(mut command: Command) -> f64 {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn megabytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
