//! A real Prometheus on a configuration of the test's own.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::net;

/// Far more than anything here takes, for a crowded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A Prometheus in a container of its own, removed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    id: String,
    port: u16,
}

impl Prometheus {
    /// Starts it on the configuration in `folder`, and waits until it is ready.
    pub fn start(image: &str, folder: &Path) -> Self {
        let id = docker(&[
            "run",
            "--detach",
            "--rm",
            "--publish",
            "127.0.0.1::9090",
            "--volume",
            &format!("{}:/etc/prometheus:ro", folder.display()),
            image,
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
        ]);
        let port = docker(&["port", &id, "9090/tcp"]);
        let port = port.rsplit(':').next().and_then(|port| port.parse().ok());
        let prometheus = Self { id, port: port.expect("a port") };
        prometheus.wait("Prometheus is ready", |it| it.ask("/-/ready").is_some());
        prometheus
    }

    fn ask(&self, path: &str) -> Option<String> {
        let (status, _, body) = net::http(self.port, "GET", path, &[], "")?;
        (status == 200).then_some(body)
    }

    /// The value of a series that is there once.
    pub fn value(&self, series: &str) -> Option<f64> {
        let answer: Value =
            serde_json::from_str(&self.ask(&format!("/api/v1/query?query={series}"))?).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// Alerts that fire or are about to, as `name severity state`.
    pub fn alerts(&self) -> Vec<String> {
        let answer = self.ask("/api/v1/alerts").expect("Prometheus answers");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let word = |value: &Value| value.as_str().expect("a word").to_owned();
        let describe = |alert: &Value| {
            let labels = &alert["labels"];
            [word(&labels["alertname"]), word(&labels["severity"]), word(&alert["state"])].join(" ")
        };
        answer["data"]["alerts"].as_array().expect("alerts").iter().map(describe).collect()
    }

    /// Alerts that fire, as `name severity`.
    pub fn firing(&self) -> Vec<String> {
        let alerts = self.alerts().into_iter();
        alerts.filter_map(|alert| alert.strip_suffix(" firing").map(str::to_owned)).collect()
    }

    /// Waits until `is_so`, and says how long it took.
    #[track_caller]
    pub fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(250));
        }
        // Past the capture of a test that passes.
        let _ = writeln!(std::io::stdout(), "{what}: after {:.1} s", start.elapsed().as_secs_f64());
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.id]).output();
    }
}

/// Gives the configuration and the rules in `folder` short waits; the thresholds are as shipped.
pub fn hurry(folder: &Path) {
    let rules = fs::read_dir(folder.join("rules")).expect("rules").flatten();
    for path in rules.map(|entry| entry.path()).chain([folder.join("prometheus.yml")]) {
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(path, text.lines().map(hurried).collect::<String>()).expect("a file");
    }
}

/// A scrape may take as long as the interval, which a busy machine needs.
fn hurried(line: &str) -> String {
    let (key, _) = line.split_once(':').unwrap_or_default();
    match key.trim_start() {
        "scrape_interval" => format!("{key}: 5s\n"),
        "evaluation_interval" | "interval" => format!("{key}: 2s\n"),
        "for" => format!("{key}: 0s\n"),
        _ => format!("{line}\n"),
    }
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
