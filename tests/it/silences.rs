//! What an operator does at night: silences, and a first mail without any registry.

use std::process::Command;

use serde_json::Value;
use tests::composes::FULL;
use tests::{Site, docker, net};

use crate::people::write;

fn state(site: &Site, alert: &str) -> Option<String> {
    let listed = site.xtask(&["alerts", "list", "--json"]).succeeds().json();
    let rules = listed["alerts"].as_array().unwrap().clone();
    let rule = rules.into_iter().find(|rule| rule["alert"] == alert)?;
    let active = rule["active"].as_array()?.first()?.clone();
    Some(active["muted"].as_str().unwrap_or("told").to_owned())
}

fn silences(site: &Site) -> Vec<Value> {
    let listed = site.xtask(&["alerts", "list", "--json"]).succeeds().json();
    listed["silences"].as_array().unwrap().clone()
}

#[test]
fn an_alert_is_kept_from_people_for_a_while_and_no_longer() {
    let site = Site::new("night", &[FULL[1]]);
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    net::eventually("the alert that always fires is told", || {
        state(&site, "Watchdog").as_deref() == Some("told")
    });
    site.xtask(&["alerts", "silence", "Watchdgo", "--for", "2h"])
        .ends_with(2)
        .says("did you mean Watchdog?");
    site.xtask(&["alerts", "silence", "Watchdog", "--for", "soon"])
        .ends_with(2)
        .says("write 30min");
    site.xtask(&["alerts", "silence", "a b=c", "--for", "2h"])
        .ends_with(2)
        .says("is not a matcher");
    let dry = ["alerts", "silence", "Watchdog", "--for", "2h", "--dry-run"];
    site.xtask(&dry).succeeds().says("would: silence alertname=Watchdog until");
    assert!(silences(&site).is_empty());

    let made = ["alerts", "silence", "Watchdog", "service=monitoring", "--for", "2h"];
    let comment = ["--comment", "new machine", "--json"];
    let id = site.xtask(&[&made[..], &comment[..]].concat()).succeeds().json()["id"].clone();
    net::eventually("it is silenced", || state(&site, "Watchdog").as_deref() == Some("silenced"));
    let listed = site.xtask(&["alerts", "list", "--firing"]).succeeds();
    for words in ["silenced", "alertname=Watchdog service=monitoring", "new machine"] {
        assert!(listed.stdout.contains(words), "{words}: {}", listed.stdout);
    }
    let all = site.xtask(&["alerts", "list"]).succeeds().stdout;
    assert!(!all.contains("{{") && all.contains("metric: redis_up"), "{all}");
    // The same by hand, with a tool that knows the password.
    // Debian's build, of the offline image, looks for its configuration elsewhere than upstream's.
    let amtool = "amtool --alertmanager.url=http://127.0.0.1:9093 --http.config.file=/etc/generated/amtool.yml silence query";
    let query = ["shell", "monitoring", "alertmanager", "--", "-c", amtool];
    assert!(site.xtask(&query).succeeds().stdout.contains("Watchdog"));

    site.xtask(&["alerts", "unsilence", "RedisDown"]).ends_with(2).says("there is no silence");
    site.xtask(&["alerts", "unsilence", &id.as_str().unwrap()[..8]]).succeeds();
    net::eventually("it is told", || state(&site, "Watchdog").as_deref() == Some("told"));
    assert!(silences(&site).is_empty());
}

#[test]
fn the_development_stacks_mailhog_takes_a_first_mail_by_one_line_of_the_guide() {
    let site = Site::new("firstmail", &[FULL[1]]);
    site.up();
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    let guide = include_str!("../../docs/notifications.md");
    let line = guide.lines().find(|line| line.starts_with("docker network connect")).unwrap();
    let monitoring = site.monitoring();
    let line = line
        .replace("case-interview-monitoring", &monitoring.project())
        .replace("case-interview-development", &site.development().project());
    assert!(Command::new("sh").args(["-ec", &line]).status().unwrap().success(), "{line}");
    let text = "[routes]\ncritical = [\"me\"]\nwarning = [\"me\"]\n[smtp]\nserver = \"mail:1025\"\nfrom = \"alerts@example.org\"\ntls = false\n[email.me]\nto = [\"me@example.org\"]\n";
    write(&monitoring, "notifications.toml", text);
    site.xtask(&["alerts", "render"]).succeeds();
    site.xtask(&["alerts", "send-test"]).succeeds();
    let inbox = net::get(site.port("MAILHOG_UI_PORT"), "/api/v2/messages");
    assert!(inbox.contains("me@example.org"), "{inbox}");
    // A receiver on this machine has a name.
    let alertmanager = monitoring.container("alertmanager");
    let hosts = docker(&["exec", &alertmanager, "cat", "/etc/hosts"]);
    assert!(hosts.contains("host.docker.internal"), "{hosts}");
}
