//! The API's alerts from end to end: a real Prometheus with the real rules, and an API that
//! misbehaves on demand.
//!
//! So that nobody waits for minutes, the rules are read with every `5m` as ten seconds and every
//! `for` as two; the thresholds are as shipped.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::api::{Behaviour, SyntheticApi};
use tests::{Site, net, root};

const HEALTHY: Behaviour = Behaviour { traffic: 50.0, latency: 0.04, errors: 0.0 };
/// Far more than anything here takes, for a crowded machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn latency_and_errors_of_the_api_raise_its_alerts_and_traffic_must_be_there() {
    let image = Site::offline_or("prometheus", "2.42", "prom/prometheus:v2.45.0");
    let api = SyntheticApi::start(&image, HEALTHY);
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), &api.address().to_string());
    let prometheus = Prometheus::start(&image, folder.path());
    prometheus.wait("traffic is seen", |it| it.value("job:http_requests:rate5m") > Some(40.0));
    assert_eq!(prometheus.firing(), Vec::<String>::new());

    for (behaviour, alert) in [
        (Behaviour { latency: 0.3, ..HEALTHY }, "ApiLatencyHigh warning"),
        (Behaviour { errors: 0.08, ..HEALTHY }, "ApiErrorRateHigh critical"),
    ] {
        api.behave(behaviour);
        prometheus.wait(&format!("{alert} fires"), |it| it.firing() == [alert]);
        api.behave(HEALTHY);
        prometheus.wait(&format!("{alert} resolves"), |it| it.firing().is_empty());
    }

    // Just under both thresholds, and no more.
    api.behave(Behaviour { latency: 0.2, errors: 0.04, ..HEALTHY });
    prometheus.wait("4 % errors are seen", |it| {
        it.value("job:http_errors:ratio_rate5m").is_some_and(|ratio| (ratio - 0.04).abs() < 0.0005)
    });
    assert_eq!(prometheus.alerts(), Vec::<String>::new(), "neither firing nor about to");

    // As bad as can be, but hardly anybody asks.
    api.behave(Behaviour { traffic: 0.05, latency: 3.0, errors: 1.0 });
    prometheus.wait("three requests a minute are seen", |it| {
        it.value("job:http_requests:rate5m") < Some(0.09)
            && it.value("job:http_errors:ratio_rate5m") > Some(0.99)
    });
    assert_eq!(prometheus.firing(), Vec::<String>::new());
}

/// Prometheus's folder: the shipped rules of the API with shorter times, and the API as a target.
fn configure(folder: &Path, target: &str) {
    let shipped = root().join("infrastructure/docker/monitoring/prometheus/rules/api.yml");
    let rules = fs::read_to_string(shipped).unwrap();
    assert!(rules.contains("[5m]") && rules.contains("for: 5m"), "nothing would be shortened");
    let rules = rules.replace("[5m]", "[10s]").replace("for: 5m", "for: 2s");
    fs::write(folder.join("api.yml"), rules).unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [api.yml]\n\
         scrape_configs: [{{job_name: api, static_configs: [{{targets: ['{target}']}}]}}]\n"
    );
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let open = Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status();
    assert!(open.expect("chmod runs").success());
}

/// A Prometheus in a container of its own, removed when dropped.
struct Prometheus {
    id: String,
    port: u16,
}

impl Prometheus {
    fn start(image: &str, folder: &Path) -> Self {
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
        net::try_get(self.port, path).ok()
    }

    /// The value of a series that is there once.
    fn value(&self, series: &str) -> Option<f64> {
        let answer: Value =
            serde_json::from_str(&self.ask(&format!("/api/v1/query?query={series}"))?).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// Alerts that fire or are about to, as `name severity state`.
    fn alerts(&self) -> Vec<String> {
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
    fn firing(&self) -> Vec<String> {
        let alerts = self.alerts().into_iter();
        alerts.filter_map(|alert| alert.strip_suffix(" firing").map(str::to_owned)).collect()
    }

    /// Waits until `is_so`, and says how long it took.
    fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
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

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
