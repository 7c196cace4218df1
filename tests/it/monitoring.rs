//! The monitoring stack: up from nothing beside the development stack, watched, guarded, reloaded.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::Value;
use tests::composes::{Compose, FULL, SMOKE};
use tests::{Part, Run, Site, docker, net};

use crate::{doors, guarded};

/// `cargo xtask up STACK` on the images of this run.
pub(crate) fn up(site: &Site, stack: &str) -> Run {
    site.xtask(&[&["up", stack], Site::images()].concat())
}

/// What Prometheus says, logged in.
pub(crate) fn prometheus(part: &Part<'_>, path: &str) -> Value {
    let password = part.env("PROMETHEUS_PASSWORD");
    let (status, body) = net::ask("GET", part.port("PROMETHEUS_PORT"), path, Some(&password));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The jobs of Prometheus with the health of their targets.
pub(crate) fn targets(part: &Part<'_>) -> Vec<(String, String)> {
    let said = prometheus(part, "/api/v1/targets?state=active");
    let mut targets: Vec<_> = said["data"]["activeTargets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&target["labels"]["job"]), text(&target["health"]))
        })
        .collect();
    targets.sort();
    targets
}

fn every_target_is_up(site: &Site) {
    let up = |job: &str| (job.to_owned(), "up".to_owned());
    let expected =
        ["alertmanager", "blackbox", "grafana", "node", "postgres", "prometheus", "redis"].map(up);
    let monitoring = site.monitoring();
    net::eventually("every target is up", || targets(&monitoring) == expected);
}

/// Whether a link in an alert leads to a dashboard: it names Grafana, which has the page.
#[track_caller]
pub(crate) fn leads_to_a_dashboard(part: &Part<'_>, link: &str) {
    let grafana = format!("http://{}:{}", part.env("PUBLIC_HOST"), part.port("GRAFANA_PORT"));
    let uid = link.strip_prefix(&format!("{grafana}/d/"));
    let uid = uid.unwrap_or_else(|| panic!("`{link}` is not a dashboard of {grafana}"));
    let password = part.env("GRAFANA_ADMIN_PASSWORD");
    let page = format!("/api/dashboards/uid/{uid}");
    let (status, body) = net::ask("GET", part.port("GRAFANA_PORT"), &page, Some(&password));
    assert_eq!(status, 200, "{link}: {body}");
    let found: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(found["dashboard"]["uid"], uid);
}

/// Of the one alert that always fires.
fn alerts_link_to_dashboards(site: &Site) {
    let monitoring = site.monitoring();
    let mut link = String::new();
    net::eventually("the Watchdog fires", || {
        let said = prometheus(&monitoring, "/api/v1/alerts");
        let mut alerts = said["data"]["alerts"].as_array().unwrap().iter();
        let watchdog = alerts.find(|alert| alert["labels"]["alertname"] == "Watchdog");
        watchdog.is_some_and(|alert| {
            link = alert["annotations"]["dashboard_url"].as_str().unwrap_or_default().to_owned();
            true
        })
    });
    leads_to_a_dashboard(&monitoring, &link);
}

fn every_command_knows_the_stack(site: &Site) {
    let user = site.xtask(&["shell", "monitoring", "alertmanager", "--", "-c", "id -u"]).succeeds();
    assert_eq!(user.stdout.trim(), "65534");
    site.xtask(&["logs", "monitoring", "prometheus"])
        .succeeds()
        .says("ready to receive web requests");
    let urls = site.xtask(&["urls", "monitoring", "--json"]).succeeds().json();
    let endpoints = urls["endpoints"].as_array().unwrap().iter();
    let variables: Vec<_> =
        endpoints.map(|endpoint| endpoint["variable"].as_str().unwrap()).collect();
    assert_eq!(variables, ["PROMETHEUS_URL", "ALERTMANAGER_URL", "GRAFANA_URL"]);
    site.xtask(&["doctor", "monitoring"]).succeeds();
}

/// By the default; without internet it goes on without.
fn grafana_was_asked_for_its_plugin(site: &Site) {
    let id = site.monitoring().container("grafana");
    let environment = docker(&["inspect", "--format", "{{json .Config.Env}}", &id]);
    assert!(environment.contains("\"GF_INSTALL_PLUGINS=grafana-piechart-panel\""));
    if Site::is_offline() {
        let output = Command::new("docker").args(["logs", &id]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("The plugin grafana-piechart-panel cannot be fetched"), "{said}");
    }
}

/// The services' containers and when they started.
pub(crate) fn starts_of(part: &Part<'_>) -> String {
    let ids: Vec<_> = part.containers();
    let ids: Vec<_> = ids.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    docker(&[&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}"], ids.as_slice()].concat())
}

fn networks(site: &Site) -> String {
    docker(&[
        "network",
        "ls",
        "--format",
        "{{.Name}}",
        "--filter",
        &format!("name={}", site.project()),
    ])
}

fn from_nothing(compose: Compose, on: [&str; 2]) {
    let site = Site::new(&format!("all-{}", compose.word()), &[compose]).on(on[0]).on(on[1]);
    let run = up(&site, "all").succeeds();
    assert!(run.stdout.contains("http://admin:***@127.0.0.1:"), "{}", run.stdout);
    every_target_is_up(&site);

    let before = (starts_of(&site.development()), starts_of(&site.monitoring()));
    up(&site, "all").succeeds();
    let after = (starts_of(&site.development()), starts_of(&site.monitoring()));
    assert_eq!(before, after, "a second up restarts nothing");

    let status = site.xtask(&["status", "all", "--json"]).succeeds().json();
    for service in status["services"].as_array().unwrap() {
        assert_eq!(
            (&service["state"], &service["health"]),
            (&"running".into(), &"healthy".into()),
            "{service}"
        );
    }
    every_command_knows_the_stack(&site);
    guarded::nobody_is_answered_without_the_password(&site);
    guarded::no_password_is_shown(&site);
    guarded::accounts_read_statistics_and_nothing_more(&site);
    guarded::stacks_are_isolated(&site);
    doors::no_service_is_a_door_to_another(&site);
    doors::no_user_reads_what_was_made_for_another(&site);
    alerts_link_to_dashboards(&site);
    grafana_was_asked_for_its_plugin(&site);
    one_stack_keeps_no_other_from_its_backup(&site);

    site.xtask(&["down", "all"]).succeeds();
    assert_eq!((site.containers(), site.monitoring().containers()), (Vec::new(), Vec::new()));
    assert_eq!(networks(&site), "", "nobody is left on a network");
}

/// Of the development stack nothing that could be backed up runs any more.
fn one_stack_keeps_no_other_from_its_backup(site: &Site) {
    let development = site.development();
    for service in ["postgres", "redis"] {
        docker(&["stop", &development.container(service)]);
    }
    let made = site.xtask(&["backup", "--json"]).ends_with(1).json();
    let stacks: Vec<_> = made["sets"].as_array().unwrap().iter().map(|set| &set["stack"]).collect();
    assert_eq!(stacks, ["monitoring"], "{made}");
    // One that cannot be drilled keeps none of the others from it.
    let forged = site.forge_unsigned(made["sets"][0]["id"].as_str().unwrap(), |manifest| {
        manifest["stack"] = "development".into();
        manifest["project"] = development.project().into();
    });
    let drilled = site.xtask(&["backup", "drill", "--json"]).ends_with(1).says(&forged).json();
    assert_eq!(drilled["drills"].as_array().unwrap().len(), 1, "{drilled}");
}

#[test]
fn both_stacks_come_up_from_nothing_on_docker_compose_1() {
    from_nothing(FULL[0], ["prometheus:2.53", "alertmanager:0.28"]);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn both_stacks_come_up_from_nothing_on_the_compose_plugin() {
    from_nothing(FULL[1], ["prometheus:2.42", "alertmanager:0.25"]);
}

fn any_order(compose: Compose) {
    let site = Site::new(&format!("order-{}", compose.word()), &[compose]);
    up(&site, "monitoring").succeeds();
    up(&site, "dev").succeeds();
    every_target_is_up(&site);
    site.xtask(&["down", "monitoring"]).succeeds();
    assert!(networks(&site).contains("metrics"), "the exporters are on it");
    up(&site, "dev").succeeds();
    up(&site, "monitoring").succeeds();
    every_target_is_up(&site);
    site.xtask(&["down", "dev"]).succeeds();
    assert!(networks(&site).contains("metrics"), "Prometheus is on it");
    let monitoring = site.monitoring();
    net::eventually("the exporters are missed", || {
        targets(&monitoring).contains(&("redis".to_owned(), "down".to_owned()))
    });
    up(&site, "monitoring").succeeds();
    // Stopped and not removed, a container still needs its network.
    docker(&["stop", &monitoring.container("prometheus")]);
    up(&site, "dev").succeeds();
    site.xtask(&["down", "dev"]).succeeds();
    up(&site, "monitoring").succeeds();
    site.xtask(&["down", "monitoring"]).succeeds();
    assert_eq!(networks(&site), "");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn the_stacks_start_and_stop_in_any_order_on_docker_compose_1() {
    any_order(FULL[0]);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn the_stacks_start_and_stop_in_any_order_on_the_compose_plugin() {
    any_order(FULL[1]);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn older_compose_plugins_start_monitoring_too() {
    let site = Site::new("monsmoke", &[SMOKE[0]]);
    for compose in SMOKE {
        site.choose(&[compose]);
        up(&site, "all").succeeds();
        every_target_is_up(&site);
        site.xtask(&["down", "all"]).succeeds();
    }
}

#[test]
fn a_change_is_loaded_without_a_restart_and_a_broken_one_is_refused() {
    let site = Site::new("reload", &[FULL[1]]);
    up(&site, "monitoring").succeeds();
    let monitoring = site.monitoring();
    let before = starts_of(&monitoring);
    let write = |path: &str, text: &str| fs::write(monitoring.folder().join(path), text).unwrap();
    let rules = || prometheus(&monitoring, "/api/v1/rules").to_string();

    let rule = "groups:\n- name: of-a-test\n  rules:\n  - record: of:a:test\n    expr: sum(up)\n";
    write("prometheus/rules/of-a-test.yml", rule);
    up(&site, "monitoring").succeeds().says("prometheus has loaded its changed configuration");
    assert!(rules().contains("of:a:test"));
    // The expression is cut off in line 5.
    write("prometheus/rules/of-a-test.yml", &rule.replace("sum(up)", "sum(up"));
    up(&site, "monitoring")
        .ends_with(1)
        .says("prometheus/rules/of-a-test.yml:5:")
        .says("nothing was changed");
    assert!(rules().contains("of:a:test"), "the old one does not keep working");
    write("prometheus/rules/of-a-test.yml", rule);

    // One line, one file, and nothing to be told.
    let address = guarded::addresses(&monitoring, &format!("{}_monitoring", monitoring.project()))
        .remove(0)
        .1;
    write("prometheus/targets/tcp.yml", &format!("- targets:\n  - {address}:1\n"));
    let probed = ("probe-tcp".to_owned(), "up".to_owned());
    net::eventually("a new target is asked", || targets(&monitoring).contains(&probed));
    write("prometheus/targets/tcp.yml", "- tragets:\n  - x:1\n");
    up(&site, "monitoring").ends_with(1).says("prometheus/targets/tcp.yml").says("tragets");
    // Whether a probe of it succeeds just now is another matter.
    let is_asked = targets(&monitoring).iter().any(|(job, _)| job == "probe-tcp");
    assert!(is_asked, "the old one does not keep working");
    write("prometheus/targets/tcp.yml", "- targets: []\n");

    write("grafana/dashboards/of-a-test.json", "{\"uid\": \"of-a-test\",\n \"title\" \"x\"}");
    up(&site, "monitoring").ends_with(1).says("grafana/dashboards/of-a-test.json:2:");
    write(
        "grafana/dashboards/of-a-test.json",
        r#"{"uid": "of-a-test", "title": "Of a test", "panels": []}"#,
    );
    up(&site, "monitoring").succeeds();
    let password = monitoring.env("GRAFANA_ADMIN_PASSWORD");
    let found = net::ask(
        "GET",
        monitoring.port("GRAFANA_PORT"),
        "/api/dashboards/uid/of-a-test",
        Some(&password),
    );
    assert_eq!(found.0, 200, "{}", found.1);

    write("prometheus/prometheus.yml", "global:\n  scrape_intervall: 15s\n");
    up(&site, "monitoring").ends_with(1).says("prometheus/prometheus.yml:2:");
    // Nor does a restart put it in the way of what runs.
    site.xtask(&["restart", "monitoring", "prometheus"]).ends_with(1).says("nothing was changed");
    assert_eq!(starts_of(&monitoring), before, "nothing was restarted");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn what_does_not_work_together_is_not_called_ready() {
    let site = Site::new("notready", &[FULL[1]]);
    up(&site, "monitoring").succeeds();
    let of_alertmanager = "      static_configs:\n        - targets: [alertmanager:9093]\n\nscrape";
    for (file, right, wrong, words) in [
        ("prometheus/prometheus.yml", "grafana:3000", "grafana:3001", "its target grafana is down"),
        (
            "prometheus/prometheus.yml",
            of_alertmanager,
            "      static_configs: []\n\nscrape",
            "it knows no AlertManager yet",
        ),
        (
            "grafana/provisioning/datasources/prometheus.yml",
            "prometheus:9090",
            "prometheus:9091",
            "its datasource `prometheus` does not answer",
        ),
    ] {
        let path = site.monitoring().folder().join(file);
        let good = fs::read_to_string(&path).unwrap();
        assert!(good.contains(right), "{file}");
        fs::write(&path, good.replace(right, wrong)).unwrap();
        // Longer than between two scrapes.
        site.xtask(&[&["up", "monitoring", "--timeout", "40"], Site::images()].concat())
            .ends_with(1)
            .says(words);
        fs::write(&path, good).unwrap();
    }
    up(&site, "monitoring").succeeds();
}

#[test]
fn a_new_password_reaches_everybody_who_needs_it() {
    let site = Site::new("newpw", &[FULL[1]]);
    up(&site, "all").succeeds();
    site.monitoring().set_env("PROMETHEUS_PASSWORD", "another-for-prometheus");
    site.monitoring().set_env("ALERTMANAGER_PASSWORD", "another #for alertmanager");
    site.set_env("POSTGRES_EXPORTER_PASSWORD", "another-for-the-exporter");
    site.set_env("REDIS_EXPORTER_PASSWORD", "another-for-redis");
    up(&site, "all").succeeds();
    every_target_is_up(&site);

    // Grafana keeps its own in its database.
    site.monitoring().set_env("GRAFANA_ADMIN_PASSWORD", "another-for-old-data");
    let run = up(&site, "monitoring").ends_with(1).says("refuses the credentials");
    assert!(run.stderr.contains("cargo xtask env set-password mon grafana"), "{}", run.stderr);
    site.xtask(&["env", "set-password", "mon", "grafana"]).succeeds();
    up(&site, "monitoring").succeeds();
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn monitoring_needs_no_root() {
    let uid = 4321;
    let socket = fs::metadata("/var/run/docker.sock").expect("the engine's socket");
    let mut site = Site::new("monuser", &[FULL[1]]);
    site.run_as(uid, socket.gid());
    up(&site, "all").succeeds();
    every_target_is_up(&site);
    let facts = fs::metadata(site.data().join("generated/prometheus/web.yml")).unwrap();
    assert_eq!((facts.uid(), facts.mode() & 0o777), (65534, 0o400));
    let before = starts_of(&site.monitoring());
    up(&site, "monitoring").succeeds();
    assert_eq!(starts_of(&site.monitoring()), before);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn containers_are_watched_when_asked_for() {
    let site = Site::new("cadvisor", &[FULL[0]]);
    site.xtask(&["env", "init", "monitoring"]).succeeds();
    site.monitoring().set_env("COMPOSE_PROFILES", "containers");
    up(&site, "monitoring").succeeds().says("cadvisor: answers");
    let monitoring = site.monitoring();
    let query =
        "/api/v1/query?query=container_memory_working_set_bytes%7Bname%3D~%22.*grafana.*%22%7D";
    net::eventually("a container's memory is known", || {
        !prometheus(&monitoring, query)["data"]["result"].as_array().unwrap().is_empty()
    });
    site.monitoring().set_env("COMPOSE_PROFILES", "");
    up(&site, "monitoring").succeeds();
    assert_eq!(monitoring.container("cadvisor"), "");
}
