//! The API's alerts from end to end: a real Prometheus with the real rules, and an API that
//! misbehaves on demand.
//!
//! So that nobody waits for minutes, the rules are read with every `5m` as five seconds and every
//! `for` as two; the thresholds are as shipped.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::api::{Behaviour, SyntheticApi};
use tests::prometheus::Prometheus;
use tests::{Site, root};

const HEALTHY: Behaviour = Behaviour { traffic: 50.0, latency: 0.04, errors: 0.0 };

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
    let rules = rules.replace("[5m]", "[5s]").replace("for: 5m", "for: 2s");
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
