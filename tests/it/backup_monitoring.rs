//! Backups of the monitoring stack: samples, dashboards, accounts, silences.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::composes::FULL;
use tests::{Part, Run, Site, blocks, docker, net, on_each_prometheus};

use crate::backup_guide;

on_each_prometheus!(monitoring_comes_back_with_its_samples_dashboards_and_silences);

fn up(name: &str) -> Site {
    let site = Site::new(name, &[FULL[1]]);
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    site
}

fn back_up(site: &Site) -> String {
    let run = site.once_free(&["backup", "create", "monitoring", "--json"]);
    run.json()["sets"][0]["id"].as_str().expect("a set").to_owned()
}

pub(crate) fn ask(part: &Part<'_>, service: &str, method: &str, path: &str, body: &str) -> Value {
    let secret = if service == "GRAFANA" {
        "GRAFANA_ADMIN_PASSWORD"
    } else {
        &format!("{service}_PASSWORD")
    };
    let password = part.env(secret);
    let port = part.port(&format!("{service}_PORT"));
    let (status, said) = net::send(method, port, path, Some(&password), body);
    assert_eq!(status, 200, "{path}: {said}");
    serde_json::from_str(&said).unwrap_or_default()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Silences `job="gone"` for two hours, and returns the silence's id.
pub(crate) fn silence(part: &Part<'_>) -> String {
    let at = |seconds: u64| {
        let time = UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        jiff::Timestamp::try_from(time).unwrap().to_string()
    };
    let body = json!({
        "matchers": [{"name": "job", "value": "gone", "isRegex": false, "isEqual": true}],
        "startsAt": at(now()), "endsAt": at(now() + 7200),
        "createdBy": "somebody", "comment": "planned work",
    });
    let said = ask(part, "ALERTMANAGER", "POST", "/api/v2/silences", &body.to_string());
    said["silenceID"].as_str().unwrap().to_owned()
}

pub(crate) fn state_of(part: &Part<'_>, silence: &str) -> String {
    let all = ask(part, "ALERTMANAGER", "GET", "/api/v2/silences", "");
    let found = all.as_array().unwrap().iter().find(|one| one["id"] == silence);
    found.map_or("missing", |one| one["status"]["state"].as_str().unwrap()).to_owned()
}

/// Makes a dashboard by hand.
pub(crate) fn dashboard(part: &Part<'_>) -> String {
    let body = json!({"dashboard": {"title": "Made by hand", "panels": []}, "overwrite": false});
    let said = ask(part, "GRAFANA", "POST", "/api/dashboards/db", &body.to_string());
    said["uid"].as_str().unwrap().to_owned()
}

pub(crate) fn has_dashboard(part: &Part<'_>, uid: &str) -> bool {
    let hits = ask(part, "GRAFANA", "GET", "/api/search?type=dash-db&limit=5000", "");
    hits.as_array().unwrap().iter().any(|hit| hit["uid"] == uid)
}

/// What a query over the last 30 days answers now.
fn value(part: &Part<'_>, query: &str) -> f64 {
    let path = format!("/api/v1/query?query={}", xtask::stack::url::encode(query));
    let said = ask(part, "PROMETHEUS", "GET", &path, "");
    let value = said["data"]["result"][0]["value"][1].as_str();
    value.map_or(0.0, |value| value.parse().unwrap())
}

fn snapshots(site: &Site) -> Vec<String> {
    let entries = fs::read_dir(blocks::folder(site).join("snapshots"));
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Where the set has these blocks.
fn objects_of(site: &Site, set: &str, blocks: &BTreeSet<String>) -> BTreeSet<String> {
    let manifest = site.manifest(set).1;
    let paths = manifest["objects"].as_array().unwrap().iter();
    let paths = paths.map(|object| object["path"].as_str().unwrap().to_owned());
    paths.filter(|path| blocks.iter().any(|block| path.contains(block.as_str()))).collect()
}

fn drills(site: &Site, set: &str) -> Run {
    site.xtask(&["backup", "drill", set]).succeeds()
}

fn monitoring_comes_back_with_its_samples_dashboards_and_silences(on: &'static str) {
    let site = Site::new("monback", &[FULL[1]]).on(on);
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    let part = site.monitoring();
    let made = blocks::make(&site, 0..3, 5);
    assert_eq!(made.len(), 3);
    let persons =
        ask(&part, "PROMETHEUS", "POST", "/api/v1/admin/tsdb/snapshot?skip_head=true", "");
    let persons = persons["data"]["name"].as_str().unwrap().to_owned();
    let uid = dashboard(&part);
    let silence = silence(&part);
    // In a list of names, each of these would be another one.
    let odd = ["a\nb", r"c\nd", "e\n/etc/passwd", "-f", "g h"];
    let in_grafana = |name: &str| site.data().join("grafana").join(name);
    odd.iter().for_each(|name| {
        fs::create_dir_all(in_grafana(name).parent().unwrap()).unwrap();
        fs::write(in_grafana(name), name).unwrap();
    });

    let first = back_up(&site);
    let second = back_up(&site);
    assert_eq!(snapshots(&site), [persons], "only what a person made stays");
    assert_eq!(
        docker(&[
            "ps",
            "--quiet",
            "--filter",
            "status=paused",
            "--filter",
            &format!("name={}", part.project())
        ]),
        ""
    );
    let shared = objects_of(&site, &first, &made);
    assert_eq!((shared.len(), objects_of(&site, &second, &made)), (3, shared.clone()));
    let listed = site.xtask(&["backup", "list", "monitoring", "--json"]).succeeds().json();
    let (own, all) = (&listed["sets"][0]["own_bytes"], &listed["sets"][0]["bytes"]);
    assert!(own.as_u64().unwrap() < all.as_u64().unwrap(), "{listed}");
    site.xtask(&["backup", "verify", "--deep"]).succeeds();
    drills(&site, &second)
        .says("4 blocks, which answer queries")
        .says("every series of every block can be read")
        .says("1 silence and what was notified")
        .says("1 dashboard made by hand, 1 account");

    let samples = "sum(count_over_time(synthetic[1d]))";
    assert_eq!(value(&part, samples), 3.0 * 5.0 * 120.0);
    ask(&part, "ALERTMANAGER", "DELETE", &format!("/api/v2/silence/{silence}"), "");
    ask(&part, "GRAFANA", "DELETE", &format!("/api/dashboards/uid/{uid}"), "");
    part.set_env("GRAFANA_ADMIN_PASSWORD", "another-password-of-today");
    site.xtask(&["backup", "restore", "monitoring", "latest", "--yes"]).succeeds();
    assert_eq!(value(&part, samples), 3.0 * 5.0 * 120.0);
    assert_eq!(state_of(&part, &silence), "active");
    assert!(has_dashboard(&part, &uid), "with today's password");
    odd.iter().for_each(|name| assert_eq!(fs::read_to_string(in_grafana(name)).unwrap(), *name));
    site.xtask(&["backup", "restore", "--drop", "--yes"]).succeeds();

    // What is shared outlives the set that it was written for.
    let keep =
        ["--keep-last", "1", "--keep-daily", "0", "--keep-weekly", "0", "--keep-monthly", "0"];
    site.xtask(&[&["backup", "prune"], &keep[..]].concat()).succeeds();
    let sets = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    assert_eq!(sets["sets"].as_array().unwrap().len(), 1);
    site.xtask(&["backup", "verify", &second]).succeeds();
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}

/// Has the next xtask killed when it runs a `docker` command like this.
fn kill_at(site: &Site, pattern: &str) {
    let program = site.root().parent().unwrap().join("bin/docker");
    let real = fs::read_link(&program).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in {pattern}) kill -9 $PPID; exit 1 ;; esac\nexec '{}' \"$@\"\n",
        real.display()
    );
    fs::remove_file(&program).unwrap();
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let killed = site.command(&["backup", "monitoring"]).output().unwrap();
    fs::remove_file(&program).unwrap();
    symlink(real, program).unwrap();
    assert_eq!(killed.status.signal(), Some(9), "{}", String::from_utf8_lossy(&killed.stderr));
}

fn is_paused(part: &Part<'_>, service: &str) -> bool {
    docker(&["inspect", "--format", "{{.State.Paused}}", &part.container(service)]) == "true"
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_killed_backup_leaves_no_snapshot_and_nothing_standing_still() {
    let site = up("monkill");
    let part = site.monitoring();
    let record = site.data().join("state/monitoring-backup.json");
    let sets = || {
        let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
        listed["sets"].as_array().unwrap().len()
    };

    // Once the snapshot's name is known.
    kill_at(&site, "*snapshots/*");
    assert_eq!(snapshots(&site).len(), 1);
    site.xtask(&["setup", "monitoring", "--dry-run"]).succeeds();
    assert_eq!(snapshots(&site).len(), 1, "--dry-run changes nothing");
    site.once_free(&["setup", "monitoring"]).says("which an interrupted backup has left");
    assert_eq!((snapshots(&site).len(), record.exists()), (0, false));

    // Before it was, while a person's own stay.
    ask(&part, "PROMETHEUS", "POST", "/api/v1/admin/tsdb/snapshot?skip_head=true", "");
    let persons = snapshots(&site);
    assert_eq!(persons.len(), 1);
    kill_at(&site, "*snapshots/*");
    let mut step: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    step["name"] = Value::Null;
    fs::write(&record, step.to_string()).unwrap();
    assert_eq!(snapshots(&site).len(), 2);
    back_up(&site);
    assert_eq!(snapshots(&site), persons);
    assert_eq!(sets(), 1, "a killed backup leaves no set");

    // While Grafana stands still.
    kill_at(&site, "unpause*");
    assert!(is_paused(&part, "grafana"));
    site.once_free(&["up", "monitoring"]).says("standing still");
    assert!(!is_paused(&part, "grafana") && !record.exists());
    let uid = dashboard(&part);
    kill_at(&site, "unpause*");
    back_up(&site);
    assert!(!is_paused(&part, "grafana") && has_dashboard(&part, &uid));
    site.xtask(&["backup", "verify", "--deep"]).succeeds();
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_prometheus_without_the_overlay_is_refused_and_up_mends_it() {
    let site = up("monadmin");
    let part = site.monitoring();
    let mut compose = Command::new("docker");
    compose.args(["compose", "--file", "docker-compose.yml", "up", "--detach", "prometheus"]);
    site.environment(&mut compose);
    let plain = compose.current_dir(part.folder()).output().unwrap();
    assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
    net::eventually("Prometheus answers", || {
        net::http(part.port("PROMETHEUS_PORT"), "GET", "/-/ready", &[], "")
            .is_some_and(|(status, ..)| status == 200)
    });
    site.xtask(&["backup", "monitoring", "--only", "prometheus"])
        .ends_with(1)
        .says("without docker-compose.overlay.yml")
        .says("cargo xtask up mon");
    assert_eq!(fs::read_dir(site.backups().join("sets")).unwrap().count(), 0);
    site.xtask(&["up", "monitoring"]).succeeds();
    back_up(&site);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_second_backup_after_one_more_block_among_a_hundred_writes_a_twentieth() {
    let site = up("monmany");
    let made = blocks::make(&site, 1..101, 300);
    assert_eq!(made.len(), 100);
    let back_up = || {
        let args = ["backup", "create", "monitoring", "--only", "prometheus", "--json"];
        let set = site.xtask(&args).succeeds().json()["sets"][0].take();
        let of_prometheus: Vec<_> = set["objects"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["service"] == "prometheus" && one["seconds"].as_f64() > Some(0.0))
            .cloned()
            .collect();
        let sum = |name: &str| -> f64 {
            of_prometheus.iter().map(|object| object[name].as_f64().unwrap()).sum()
        };
        (sum("bytes"), of_prometheus.len())
    };
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[100] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let objects = || {
        let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
        let id = listed["sets"][0]["id"].as_str().unwrap();
        let objects = objects_of(&site, id, &made);
        objects.into_iter().map(|path| site.backups().join(path)).collect::<Vec<_>>()
    };
    let first = back_up();
    assert!(first.1 > 100, "{first:?}");
    // Before a verify has looked at it.
    let unverified = objects().swap_remove(0);
    flip(&unverified);
    blocks::make(&site, 0..1, 300);
    let second = back_up();
    println!("bytes {} then {}", first.0, second.0);
    let new = "a new block, the damaged one, and what is in memory";
    assert!((3..=5).contains(&second.1), "{new}: {second:?}");
    assert!(second.0 <= first.0 * 0.05, "{first:?} {second:?}");
    flip(&unverified);
    site.xtask(&["backup", "verify"]).succeeds();

    // A shared object that is known to be damaged, or gone, is written anew.
    let objects = objects();
    fs::remove_file(&objects[1]).unwrap();
    flip(&objects[2]);
    site.xtask(&["backup", "verify"]).ends_with(1);
    let third = back_up();
    assert!((3..=5).contains(&third.1), "{third:?}");
    let latest = ["backup", "verify", "monitoring", "latest", "--deep"];
    site.xtask(&latest).succeeds();
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn monitoring_comes_back_on_a_new_machine_from_a_bare_set() {
    let site = up("monbare");
    let part = site.monitoring();
    let folder = part.folder().join("alertmanager");
    fs::create_dir_all(folder.join("secrets")).unwrap();
    let (people, hook) = (folder.join("notifications.toml"), folder.join("secrets/slack-url"));
    let slack = "[routes]\ncritical = [\"team\"]\n[slack.team]\nurl_file = \"secrets/slack-url\"\n";
    fs::write(people, slack).unwrap();
    fs::write(&hook, ["https://hooks.slack.com", "services/T0/B0/s3cr3t"].join("/")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o600)).unwrap();
    site.xtask(&["alerts", "render"]).succeeds();
    let uid = dashboard(&part);
    let silence = silence(&part);
    let password = part.env("GRAFANA_ADMIN_PASSWORD");
    let id = back_up(&site);
    let scraped = "sum(count_over_time(prometheus_build_info[1d]))";
    let samples = value(&part, scraped);
    assert!(samples > 0.0);

    site.xtask(&["down", "monitoring", "--purge", "--yes"]).succeeds();
    fs::remove_dir_all(site.data().join("generated")).unwrap();
    fs::remove_dir_all(site.data().join("state")).unwrap();
    fs::remove_file(part.env_file()).unwrap();
    fs::remove_file(folder.join("notifications.toml")).unwrap();
    fs::remove_dir_all(folder.join("secrets")).unwrap();

    site.xtask(&[&["setup", "monitoring"], Site::images()].concat()).succeeds();
    let to = site.root().join("looked");
    let look = ["--only", "configuration", "--to", to.to_str().unwrap()];
    site.xtask(&[&["backup", "restore", &id], &look[..]].concat()).succeeds();
    let set = to.join("configuration/docker/monitoring");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(format!("{}/.", set.display()))
        .arg(part.folder())
        .status();
    assert!(copied.unwrap().success());
    site.xtask(&["backup", "restore", &id, "--yes"]).succeeds();
    assert_eq!(part.env("GRAFANA_ADMIN_PASSWORD"), password);
    assert!(value(&part, scraped) >= samples * 0.9);
    assert_eq!(state_of(&part, &silence), "active");
    assert!(has_dashboard(&part, &uid));
    let receivers = ask(&part, "ALERTMANAGER", "GET", "/api/v2/receivers", "").to_string();
    assert!(receivers.contains("team"), "{receivers}");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn monitoring_comes_back_by_hand() {
    let site = up("monguide");
    let part = site.monitoring();
    let (uid, silence) = (dashboard(&part), silence(&part));
    back_up(&site);
    let scraped = "sum(count_over_time(prometheus_build_info[1d]))";
    let samples = value(&part, scraped);
    site.xtask(&["down", "monitoring", "--purge", "--yes"]).succeeds();
    fs::remove_file(part.env_file()).unwrap();

    backup_guide::take(&site, FULL[1], "The monitoring stack by hand");
    site.xtask(&["up", "monitoring"]).succeeds();
    assert!(value(&part, scraped) >= samples * 0.9);
    assert_eq!(state_of(&part, &silence), "active");
    assert!(has_dashboard(&part, &uid));
}
