//! What a backup or a person's pause leaves behind in the engine is not taken for an illness.

use tests::composes::FULL;
use tests::{Part, Site, docker, net};

/// What the engine itself says of each service that is backed up.
fn words(part: &Part<'_>) -> Vec<(&'static str, String)> {
    let word = |service| {
        docker(&["inspect", "--format", "{{.State.Health.Status}}", &part.container(service)])
    };
    ["prometheus", "alertmanager", "grafana"].map(|service| (service, word(service))).into()
}

fn all_healthy(part: &Part<'_>) -> bool {
    words(part).iter().all(|(_, word)| word == "healthy")
}

#[test]
fn a_service_is_healthy_when_a_backup_ends_and_a_pause_is_no_illness() {
    let site = Site::new("healthy", &[FULL[1]]);
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    let part = site.monitoring();
    net::eventually("every service is healthy", || all_healthy(&part));

    site.xtask(&["backup", "create", "monitoring"])
        .succeeds()
        .says("for the next health check of grafana");
    assert!(all_healthy(&part), "{:?}", words(&part));

    let grafana = part.container("grafana");
    net::eventually("the engine says so until it has asked again", || {
        docker(&["pause", &grafana]);
        docker(&["unpause", &grafana]);
        words(&part)[2].1 == "unhealthy"
    });
    let status = site.xtask(&["status", "monitoring", "--json"]).succeeds().json();
    let services = status["services"].as_array().unwrap();
    let line = services.iter().find(|line| line["service"] == "grafana").unwrap();
    assert_eq!(line["health"], "healthy", "{line}");
    let findings = site.xtask(&["doctor", "monitoring", "--json"]).json();
    assert!(!findings.to_string().contains("service.unhealthy"), "{findings}");
}
