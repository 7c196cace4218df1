//! The monitoring stack: up from nothing beside the development stack, watched, guarded, reloaded.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::Value;
use tests::composes::{Compose, FULL, SMOKE};
use tests::{Part, Run, Site, docker, net};

/// `cargo xtask up STACK` on the images of this run.
fn up(site: &Site, stack: &str) -> Run {
    site.xtask(&[&["up", stack], Site::images()].concat())
}

/// What Prometheus says, logged in.
fn prometheus(part: &Part<'_>, path: &str) -> Value {
    let password = part.env("PROMETHEUS_PASSWORD");
    let (status, body) = net::ask("GET", part.port("PROMETHEUS_PORT"), path, Some(&password));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The jobs of Prometheus with the health of their targets.
fn targets(part: &Part<'_>) -> Vec<(String, String)> {
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

fn starts_of(part: &Part<'_>) -> String {
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

fn from_nothing(compose: Compose) {
    let site = Site::new(&format!("all-{}", compose.word()), &[compose]);
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
    nobody_is_answered_without_the_password(&site);
    no_password_is_shown(&site);
    accounts_read_statistics_and_nothing_more(&site);
    stacks_are_isolated(&site);

    site.xtask(&["down", "all"]).succeeds();
    assert_eq!((site.containers(), site.monitoring().containers()), (Vec::new(), Vec::new()));
    assert_eq!(networks(&site), "", "nobody is left on a network");
}

#[test]
fn both_stacks_come_up_from_nothing_on_docker_compose_1() {
    from_nothing(FULL[0]);
}

#[test]
fn both_stacks_come_up_from_nothing_on_the_compose_plugin() {
    from_nothing(FULL[1]);
}

fn nobody_is_answered_without_the_password(site: &Site) {
    let monitoring = site.monitoring();
    let other = monitoring.env("GRAFANA_ADMIN_PASSWORD");
    for (service, paths) in [
        ("PROMETHEUS", &["/", "/-/ready", "/metrics", "/graph", "/api/v1/query?query=1"][..]),
        ("ALERTMANAGER", &["/", "/-/ready", "/metrics", "/api/v2/alerts"][..]),
    ] {
        let port = monitoring.port(&format!("{service}_PORT"));
        let password = monitoring.env(&format!("{service}_PASSWORD"));
        for path in paths {
            for wrong in [None, Some(""), Some(other.as_str())] {
                assert_eq!(net::ask("GET", port, path, wrong).0, 401, "{service} {path}");
            }
        }
        let (ready, _) = net::ask("GET", port, "/-/ready", Some(&password));
        assert_eq!(ready, 200, "{service}");
    }
    let port = monitoring.port("PROMETHEUS_PORT");
    let password = monitoring.env("PROMETHEUS_PASSWORD");
    let snapshot = "/api/v1/admin/tsdb/snapshot";
    assert_eq!(net::ask("POST", port, snapshot, None).0, 401);
    assert_eq!(net::ask("POST", port, snapshot, Some(&password)).0, 200);
    assert_eq!(net::ask("POST", port, "/-/reload", Some(&password)).0, 403, "no lifecycle");
    assert_eq!(net::ask("POST", port, "/-/quit", Some(&password)).0, 403, "no lifecycle");
    assert_eq!(net::ask("GET", monitoring.port("GRAFANA_PORT"), "/api/org", None).0, 401);
}

/// Beyond what the images of PostgreSQL, Redis and Grafana take by their environment alone.
fn no_password_is_shown(site: &Site) {
    let secrets = [
        site.env("POSTGRES_EXPORTER_PASSWORD"),
        site.env("REDIS_EXPORTER_PASSWORD"),
        site.monitoring().env("PROMETHEUS_PASSWORD"),
        site.monitoring().env("ALERTMANAGER_PASSWORD"),
    ];
    let mut shown = String::new();
    for part in [site.development(), site.monitoring()] {
        for line in part.containers() {
            let id = line.split(' ').nth(1).unwrap();
            shown.push_str(&docker(&["inspect", id]));
            shown.push_str(&docker(&["logs", id]));
        }
    }
    for args in
        [&["status", "all"][..], &["urls", "all"], &["doctor", "all", "-v"], &["logs", "all"]]
    {
        let run = site.xtask(args);
        shown.push_str(&run.stdout);
        shown.push_str(&run.stderr);
    }
    for secret in secrets {
        assert!(!shown.contains(&secret));
    }
    for (service, uid) in [
        ("prometheus", 65534),
        ("alertmanager", 65534),
        ("grafana", 472),
        ("redis-exporter", 59000),
    ] {
        let folder = site.data().join("generated").join(service);
        let facts = fs::metadata(&folder).unwrap();
        assert_eq!((facts.uid(), facts.mode() & 0o777), (uid, 0o700), "{service}");
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let facts = entry.metadata().unwrap();
            let mode = if facts.is_dir() { 0o700 } else { 0o400 };
            assert_eq!((facts.uid(), facts.mode() & 0o777), (uid, mode), "{entry:?}");
        }
    }
}

fn accounts_read_statistics_and_nothing_more(site: &Site) {
    let table = "create table secrets (x text); insert into secrets values ('x')";
    net::client(
        &site.image("postgres"),
        &site.url("DATABASE_URL"),
        &format!("psql \"$URL\" -qc \"{table}\""),
    );
    let database = site.env("POSTGRES_DB");
    let url = format!(
        "postgresql://exporter:{}@127.0.0.1:{}/{database}",
        site.env("POSTGRES_EXPORTER_PASSWORD"),
        site.port("POSTGRES_PORT"),
    );
    let query = "psql \"$URL\" -Atqc \"select count(*) > 0 from pg_stat_activity; select pg_has_role('pg_monitor', 'member')\"";
    assert_eq!(net::client(&site.image("postgres"), &url, query), "t\nt");
    let refused = "psql \"$URL\" -c 'select * from secrets' 2>&1 && exit 1 || true";
    let said = net::client(&site.image("postgres"), &url, refused);
    assert!(said.contains("permission denied"), "{said}");

    let url = format!(
        "redis://exporter:{}@127.0.0.1:{}/0",
        site.env("REDIS_EXPORTER_PASSWORD"),
        site.port("REDIS_PORT"),
    );
    let ask = |command: &str| {
        let script = format!("redis-cli --no-auth-warning -u \"$URL\" {command} 2>&1");
        net::client(&site.image("redis"), &url, &script)
    };
    assert!(ask("info stats").contains("keyspace_hits"));
    for command in [
        "get x",
        "set x 1",
        "keys '*'",
        "config get requirepass",
        "acl list",
        "slowlog get",
        "flushall",
    ] {
        assert!(ask(command).contains("NOPERM"), "{command}");
    }
}

/// The addresses of the containers of `part`, each on the network whose name ends with `network`.
fn addresses(part: &Part<'_>, network: &str) -> Vec<(String, String)> {
    let format = "{{range $name, $network := .NetworkSettings.Networks}}{{$name}}={{$network.IPAddress}} {{end}}";
    let mut found = Vec::new();
    for line in part.containers() {
        let (name, id) = line.split_once(' ').unwrap();
        let text = docker(&["inspect", "--format", format, id]);
        let of = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        found.extend(
            of.filter(|(on, _)| on.ends_with(network))
                .map(|(_, address)| (name.to_owned(), address.to_owned())),
        );
    }
    assert!(!found.is_empty());
    found
}

/// Whether something answers on `port` of `address`, asked on the network called `network`.
fn answers(network: &str, address: &str, port: u16) -> bool {
    let image = "case-interview-offline/prometheus:2.42";
    let image = if Site::is_offline() { image } else { "prom/prometheus:v2.45.0" };
    let asked = format!("nc -w 2 {address} {port} </dev/null");
    let args = ["run", "--rm", "--network", network, "--entrypoint", "sh", image, "-c", &asked];
    Command::new("docker").args(args).output().unwrap().status.success()
}

fn stacks_are_isolated(site: &Site) {
    let (development, monitoring) = (site.development(), site.monitoring());
    let own = format!("{}_development", development.project());
    let other = format!("{}_monitoring", monitoring.project());
    let find = |part: &Part<'_>, network: &str, service: &str| {
        let all = addresses(part, network);
        let found = all.into_iter().find(|(name, _)| {
            name.contains(&format!("{service}-1")) || name.contains(&format!("{service}_1"))
        });
        found.unwrap_or_else(|| panic!("{service} on {network}")).1
    };
    let postgres = find(&development, "_development", "-postgres").clone();
    // What is asked does answer where it should.
    assert!(answers(&own, &postgres, 5432));
    for (service, port) in [("prometheus", 9090), ("alertmanager", 9093), ("grafana", 3000)] {
        let address = find(&monitoring, "_monitoring", service);
        assert!(answers(&other, &address, port), "{service}");
        assert!(!answers(&own, &address, port), "{service} from the development network");
    }
    assert!(!answers(&other, &postgres, 5432), "PostgreSQL from the monitoring network");
    // On the shared network stand the exporters and Prometheus.
    let metrics = site.metrics_network();
    let on = [addresses(&development, &metrics), addresses(&monitoring, &metrics)].concat();
    let mut names: Vec<_> =
        on.iter().map(|(name, _)| name.trim_end_matches(['1', '-', '_'])).collect();
    names.sort_unstable();
    assert_eq!(names.len(), 3, "{names:?}");
    for (name, service) in names.iter().zip(["prometheus", "postgres-exporter", "redis-exporter"]) {
        assert!(name.ends_with(service), "{names:?}");
    }
    // On the host, nothing but the loopback address.
    for part in [development, monitoring] {
        for line in part.containers() {
            let id = line.split(' ').nth(1).unwrap();
            let ports = docker(&["inspect", "--format", "{{json .HostConfig.PortBindings}}", id]);
            assert!(!ports.contains("HostIp\":\"\"") && !ports.contains("0.0.0.0"), "{ports}");
        }
    }
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
fn the_stacks_start_and_stop_in_any_order_on_docker_compose_1() {
    any_order(FULL[0]);
}

#[test]
fn the_stacks_start_and_stop_in_any_order_on_the_compose_plugin() {
    any_order(FULL[1]);
}

#[test]
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
    assert!(rules().contains("of:a:test"), "the old one keeps working");
    write("prometheus/rules/of-a-test.yml", rule);

    // One line, one file, and nothing to be told.
    let address = addresses(&monitoring, "_monitoring").remove(0).1;
    write("prometheus/targets/tcp.yml", &format!("- targets:\n  - {address}:1\n"));
    let probed = ("probe-tcp".to_owned(), "up".to_owned());
    net::eventually("a new target is asked", || targets(&monitoring).contains(&probed));
    write("prometheus/targets/tcp.yml", "- tragets:\n  - x:1\n");
    up(&site, "monitoring").ends_with(1).says("prometheus/targets/tcp.yml").says("tragets");
    assert!(targets(&monitoring).contains(&probed), "the old one keeps working");
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
fn a_new_password_reaches_everybody_who_needs_it() {
    let site = Site::new("newpw", &[FULL[1]]);
    up(&site, "all").succeeds();
    site.monitoring().set_env("PROMETHEUS_PASSWORD", "another-for-prometheus");
    site.monitoring().set_env("ALERTMANAGER_PASSWORD", "'another #for $alertmanager'");
    site.set_env("POSTGRES_EXPORTER_PASSWORD", "another-for-the-exporter's");
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

#[test]
fn bad_settings_are_named_before_anything_is_started() {
    let site = Site::new("monbad", &[FULL[1]]);
    site.xtask(&["env", "init", "monitoring"]).succeeds();
    let monitoring = site.monitoring();
    let good = fs::read_to_string(monitoring.env_file()).unwrap();
    for (name, value, words) in [
        ("PROMETHEUS_RETENTION_SIZE", "lots", "PROMETHEUS_RETENTION_SIZE: `lots` is no size"),
        ("PROMETHEUS_RETENTION_SIZE", "90000GB", "free for data"),
        ("GRAFANA_ADMIN_PASSWORD", "admin", "GRAFANA_ADMIN_PASSWORD is one that everybody tries"),
        ("GRAFANA_PORT", "0", "GRAFANA_PORT is `0`"),
    ] {
        monitoring.set_env(name, value);
        up(&site, "monitoring").ends_with(3).says(words);
        fs::write(monitoring.env_file(), &good).unwrap();
    }
    monitoring.set_env("PROMETHEUS_PASSWORD", &"x1".repeat(40));
    up(&site, "monitoring").ends_with(3).says("PROMETHEUS_PASSWORD");
    fs::write(monitoring.env_file(), &good).unwrap();

    let data = site.data().join("prometheus");
    fs::create_dir_all(&data).unwrap();
    let run = |program: &str, args: &[&str]| {
        assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}")
    };
    let path = data.to_str().unwrap();
    run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", path]);
    let full = up(&site, "monitoring");
    run("umount", &[path]);
    full.ends_with(3).says("free for data in").says(path);
    assert!(monitoring.containers().is_empty());
}
