//! Who is told: real messages through a real AlertManager, and what keeps them from arriving.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tests::composes::FULL;
use tests::receiver::Receiver;
use tests::{Part, Run, Site, asset, docker, net, on_each, on_each_alertmanager};

use crate::people::{KEY, Mail, TOKEN, channels, secret, write};

on_each_alertmanager!(every_alert_goes_where_the_routes_say);
on_each!(
    messages_arrive_on_every_channel_and_what_does_not_arrive_is_reported:
    on_0_25 = "alertmanager:0.25",
    #[ignore = "for cargo xtask test --long"] on_0_28 = "alertmanager:0.28"
);

const RUNBOOK: &str = "https://runbooks.example.org/RedisDown.md";
const DASHBOARD: &str = "http://dashboards.example.org/d/system-health";
/// An alert that fires.
const RULE: &str = "groups:
- name: of-a-test
  rules:
  - alert: OfATest
    expr: vector(1)
    labels: { severity: critical, service: test }
    annotations:
      summary: A test fires
      runbook_url: https://runbooks.example.org/RedisDown.md
";

fn alertmanager(part: &Part<'_>, method: &str, path: &str, body: &str) -> Value {
    let (port, password) = (part.port("ALERTMANAGER_PORT"), part.env("ALERTMANAGER_PASSWORD"));
    let (status, answer) = net::send(method, port, path, Some(&password), body);
    assert_eq!(status, 200, "{path}: {answer}");
    serde_json::from_str(&answer).unwrap_or(Value::Null)
}

/// As Prometheus sends it; over once `is_over`.
fn send(part: &Part<'_>, alert: &str, severity: &str, is_over: bool) {
    let ends = if is_over { "2020-01-01T00:00:01Z" } else { "2099-01-01T00:00:00Z" };
    let alerts = json!([{
        "labels": { "alertname": alert, "severity": severity, "service": "redis", "instance": "redis:6379" },
        "annotations": {
            "summary": "Redis does not answer",
            "description": "Its exporter cannot reach it.",
            "runbook_url": RUNBOOK,
            "dashboard_url": DASHBOARD,
        },
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": ends,
        "generatorURL": "http://prometheus.example.org/graph",
    }]);
    alertmanager(part, "POST", "/api/v2/alerts", &alerts.to_string());
}

fn delivered(run: &Run) -> Vec<(String, bool)> {
    let answer = run.json();
    assert_eq!(answer["schema"], "xtask.alerts-test/v1");
    let channels = answer["channels"].as_array().unwrap().iter();
    channels
        .map(|channel| {
            let name = channel["channel"].as_str().unwrap().to_owned();
            (name, channel["delivered"].as_bool().unwrap())
        })
        .collect()
}

fn error_of(run: &Run, channel: &str) -> String {
    let answer = run.json();
    let channels = answer["channels"].as_array().unwrap();
    let found = channels.iter().find(|found| found["channel"] == channel).unwrap();
    found["error"].as_str().unwrap().to_owned()
}

fn each(all: [bool; 4]) -> Vec<(String, bool)> {
    ["mail", "team", "on-call", "bot"].map(str::to_owned).into_iter().zip(all).collect()
}

fn started(part: &Part<'_>) -> String {
    docker(&["inspect", "--format", "{{.State.StartedAt}}", &part.container("alertmanager")])
}

fn receivers(part: &Part<'_>) -> String {
    alertmanager(part, "GET", "/api/v2/receivers", "").to_string()
}

fn messages_arrive_on_every_channel_and_what_does_not_arrive_is_reported(on: &'static str) {
    let site = Site::new("notify", &[FULL[1]]).on(on);
    fs::write(site.monitoring().folder().join("prometheus/rules/of-a-test.yml"), RULE).unwrap();
    site.xtask(&[&["up", "monitoring"], Site::images()].concat())
        .succeeds()
        .says("nobody will be told of alerts");
    let doctor = site.xtask(&["doctor", "monitoring", "--json"]).json();
    let mut findings = doctor["findings"].as_array().unwrap().iter();
    assert!(findings.any(|finding| finding["id"] == "notifications.none"), "{doctor}");
    let monitoring = &site.monitoring();
    let before = started(monitoring);
    let (mail, receiver) = (Mail::start(monitoring), Receiver::start());
    let text = channels(monitoring, &mail, &receiver, "/bot");
    write(monitoring, "notifications.toml", &text);
    site.xtask(&["alerts", "send-test"]).ends_with(1).says("cargo xtask alerts render");
    site.xtask(&["alerts", "render"])
        .succeeds()
        .says("alertmanager has loaded its changed configuration");

    let run = site.xtask(&["alerts", "send-test", "--json"]).succeeds();
    assert_eq!(delivered(&run), each([true; 4]));
    mail.wait_for(&["Subject: [TEST] Test of the channel mail"]);
    receiver.wait_for("/slack", &["[TEST] Test of the channel team"]);
    receiver.wait_for("/pagerduty", &["[TEST] Test of the channel on-call", "trigger", KEY]);
    receiver.wait_for("/pagerduty", &["on-call", "resolve"]);
    let told = receiver.wait_for("/bot", &["TestNotification"]);
    assert!(told.head.contains(&format!("Authorization: Bearer {TOKEN}\r\n")), "{}", told.head);

    one_alert_is_told_with_its_links_and_so_is_its_end(monitoring, &mail, &receiver);
    // And one that Prometheus has raised itself.
    mail.wait_for(&["Subject: [CRITICAL] A test fires", RUNBOOK]);
    words_of_others_are_told_as_text(monitoring, &mail, &receiver);
    let listed = site.xtask(&["alerts", "list", "--json"]).succeeds().json();
    assert_eq!(listed["schema"], "xtask.alerts/v1");
    let mut alerts = listed["alerts"].as_array().unwrap().iter();
    let own = alerts.find(|alert| alert["alert"] == "OfATest").unwrap();
    assert_eq!((&own["state"], &own["severity"]), (&json!("firing"), &json!("critical")));
    site.xtask(&["alerts", "list"]).succeeds();

    // A server that refuses, and one that is gone.
    write(monitoring, "notifications.toml", &channels(monitoring, &mail, &receiver, "/refuse"));
    site.xtask(&["alerts", "render"]).succeeds();
    docker(&["stop", "--time", "1", mail.name()]);
    let run = site
        .xtask(&["alerts", "send-test", "--json"])
        .ends_with(1)
        .says("2 of 4 channels failed: mail, bot");
    assert_eq!(delivered(&run), each([false, true, true, false]));
    assert!(error_of(&run, "bot").contains("500"), "{}", run.stdout);
    assert!(error_of(&run, "mail").contains("establish connection"), "{}", run.stdout);
    let one = site.xtask(&["alerts", "send-test", "--json", "--channel", "team"]).succeeds();
    assert_eq!(delivered(&one), [("team".to_owned(), true)]);
    for run in [&run, &one] {
        assert!(!format!("{}{}", run.stdout, run.stderr).contains("/slack"), "{}", run.stdout);
    }
    assert_eq!(started(monitoring), before, "AlertManager was never restarted");

    a_secret_that_is_no_longer_named_goes(&site, &text);
    a_broken_change_is_refused_and_the_old_one_stays(&site);
}

fn one_alert_is_told_with_its_links_and_so_is_its_end(
    part: &Part<'_>,
    mail: &Mail,
    receiver: &Receiver,
) {
    send(part, "RedisDown", "critical", false);
    let subject = "Subject: [CRITICAL] Redis does not answer";
    mail.wait_for(&[subject, RUNBOOK, DASHBOARD, "Its exporter cannot reach it."]);
    let title = "[CRITICAL] Redis does not answer";
    receiver.wait_for("/slack", &[title, &format!("<{RUNBOOK}|Runbook>"), DASHBOARD]);
    let page = receiver.wait_for("/pagerduty", &["trigger", title]);
    assert_eq!(page.body["payload"]["severity"], "critical");
    assert_eq!(page.body["links"][0], json!({ "href": RUNBOOK, "text": "Runbook" }));
    assert_eq!(page.body["links"][1], json!({ "href": DASHBOARD, "text": "Dashboard" }));
    let told = receiver.wait_for("/bot", &["RedisDown", RUNBOOK, DASHBOARD]);
    assert_eq!(told.body["status"], "firing");

    // What is less bad about the same thing is not told meanwhile.
    send(part, "RedisMemoryHigh", "warning", false);
    net::eventually("the warning is silenced by the critical alert", || {
        let alerts = alertmanager(part, "GET", "/api/v2/alerts?filter=severity%3Dwarning", "");
        alerts[0]["status"]["state"] == "suppressed"
    });
    send(part, "RedisMemoryHigh", "warning", true);

    send(part, "RedisDown", "critical", true);
    mail.wait_for(&["Subject: [RESOLVED] Redis does not answer", RUNBOOK]);
    receiver.wait_for("/slack", &["[RESOLVED] Redis does not answer", RUNBOOK]);
    let over = receiver.wait_for("/pagerduty", &["resolve", "[RESOLVED] Redis does not answer"]);
    assert_eq!(over.body["dedup_key"], page.body["dedup_key"], "the same incident");
    receiver.wait_for("/bot", &["RedisDown", "\"status\":\"resolved\"", RUNBOOK]);
}

/// Who writes a label, as through a metric, writes neither mentions nor links nor markup.
fn words_of_others_are_told_as_text(part: &Part<'_>, mail: &Mail, receiver: &Receiver) {
    let evil = "<!channel> <https://evil.example.org|bank> `@here` & <script>alert(1)</script>\nBcc: all\u{1b}[2J\u{202e}";
    let alerts = json!([{
        "labels": { "alertname": format!("Evil {evil}"), "severity": "critical", "service": evil },
        "annotations": {
            "summary": format!("Summary {evil}"),
            "description": evil,
            "runbook_url": "https://a.example.org/x|y><!here>\n",
            "dashboard_url": "javascript:alert(1)",
        },
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.org/graph",
    }]);
    alertmanager(part, "POST", "/api/v2/alerts", &alerts.to_string());
    let told = receiver.wait_for("/slack", &["Summary &lt;!channel&gt;"]).body.to_string();
    for never in ["<!", "<https://evil", "|bank>", "<script", "`@here", "\\u001b", "\\nBcc"] {
        assert!(!told.contains(never), "{never}: {told}");
    }
    assert!(told.contains("<https://a.example.org/xy!here|Runbook>"), "{told}");
    let page = receiver.wait_for("/pagerduty", &["trigger", "Summary <!channel>"]).body;
    assert!(!page["payload"]["summary"].as_str().unwrap().contains(char::is_control), "{page}");
    let mail = mail.wait_for(&["Summary &lt;!channel&gt;"]);
    let (head_and_text, html) = mail.split_once("text/html").unwrap();
    for never in ["<script", "href=\"javascript", "\nBcc", "\u{1b}"] {
        assert!(!html.contains(never), "{never}: {html}");
    }
    assert!(!head_and_text.contains("\nBcc") && !head_and_text.contains('\u{1b}'), "{mail}");
}

fn a_secret_that_is_no_longer_named_goes(site: &Site, text: &str) {
    let made = site.data().join("generated/alertmanager/secrets");
    assert_eq!(fs::read_to_string(made.join("pagerduty-key")).unwrap(), KEY, "trimmed");
    let without = text
        .replace("\"on-call\", ", "")
        .lines()
        .filter(|line| !["pagerduty", "key_file"].iter().any(|word| line.contains(word)))
        .collect::<Vec<_>>()
        .join("\n");
    write(&site.monitoring(), "notifications.toml", &without);
    site.xtask(&["alerts", "render"]).succeeds();
    assert!(!made.join("pagerduty-key").exists() && made.join("slack-url").exists());
    assert!(!receivers(&site.monitoring()).contains("on-call"));
}

fn a_broken_change_is_refused_and_the_old_one_stays(site: &Site) {
    let part = &site.monitoring();
    let path = part.folder().join("alertmanager/notifications.toml");
    let (good, before) = (fs::read_to_string(&path).unwrap(), receivers(part));
    fs::write(&path, format!("{good}\n[slack.new]\nurl_fil = \"secrets/slack-url\"\n")).unwrap();
    let line = good.lines().count() + 2;
    let words = format!("alertmanager/notifications.toml:{line}: unknown field `url_fil`");
    for command in [&["alerts", "render"][..], &["up", "monitoring"]] {
        site.xtask(command).ends_with(3).says(&words);
    }
    fs::write(&path, &good).unwrap();
    let template = "templates/of-a-test.tmpl";
    write(part, template, "{{ define \"x\" }}\n{{ if }}\n{{ end }}");
    for command in [&["alerts", "render"][..], &["up", "monitoring"]] {
        site.xtask(command).ends_with(1).says("of-a-test.tmpl:2").says("missing value for if");
    }
    fs::remove_file(part.folder().join("alertmanager").join(template)).unwrap();
    assert_eq!(receivers(part), before);
    site.xtask(&["up", "monitoring"]).succeeds();
}

#[test]
fn every_fault_of_the_notifications_is_named_before_anything_starts() {
    let site = Site::new("notifybad", &[FULL[1]]);
    site.xtask(&["alerts", "render"]).ends_with(3).says("cargo xtask up mon");
    site.xtask(&["env", "init", "monitoring"]).succeeds();
    let monitoring = &site.monitoring();
    let slack = "[routes]\ncritical = [\"team\"]\n[slack.team]\nurl_file = \"secrets/slack-url\"\n";
    write(monitoring, "notifications.toml", slack);
    let refused = |words: &str| {
        site.xtask(&["alerts", "render", "--dry-run"]).ends_with(3).says(words);
    };
    refused("notifications.toml:4: the secret file secrets/slack-url is missing");
    secret(monitoring, "slack-url", "\n");
    refused("the secret file secrets/slack-url is empty");
    secret(monitoring, "slack-url", "https://example.org/hidden-url");
    refused("what secrets/slack-url holds is not a URL of a Slack webhook");
    let path = monitoring.folder().join("alertmanager/secrets/slack-url");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    refused("others than its owner may read the secret file secrets/slack-url (0644)");
    let run = site.xtask(&["up", "monitoring"]).ends_with(3).says("chmod 600");
    assert!(!run.stderr.contains("hidden-url"), "{}", run.stderr);
    assert!(monitoring.containers().is_empty());
    let doctor = site.xtask(&["doctor", "monitoring", "--json"]).ends_with(3).json();
    let found = doctor["findings"].as_array().unwrap();
    assert!(found.iter().any(|finding| finding["id"] == "notifications.secret-exposed"));
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_user_who_is_not_root_renders_too() {
    let socket = fs::metadata("/var/run/docker.sock").expect("the engine's socket");
    let mut site = Site::new("notifyuser", &[FULL[1]]);
    let url = concat!("https://hooks.slack", ".com/services/T0001/B0001/ofnoone");
    let text = "[routes]\ncritical = [\"team\"]\n[slack.team]\nurl_file = \"secrets/slack-url\"\n";
    secret(&site.monitoring(), "slack-url", url);
    write(&site.monitoring(), "notifications.toml", text);
    site.run_as(4321, socket.gid());
    site.xtask(&[&["setup", "monitoring"], Site::images()].concat()).succeeds();
    let made = site.data().join("generated/alertmanager/secrets/slack-url");
    let facts = fs::metadata(&made).unwrap();
    assert_eq!((facts.uid(), facts.mode() & 0o777), (65534, 0o400));
    assert_eq!(fs::read_to_string(&made).unwrap(), url);
    fs::remove_file(site.monitoring().folder().join("alertmanager/notifications.toml")).unwrap();
    site.xtask(&["alerts", "render"]).succeeds();
    assert!(!made.exists());
    let run = site.xtask(&["alerts", "render"]).succeeds();
    assert!(run.says("is what notifications.toml says").stdout.is_empty());
}

/// What amtool says of `tests/assets/notifications.yml`, which a unit test of xtask renders.
fn amtool(on: &str, args: &[&str]) -> String {
    let (_, version) = on.split_once(':').unwrap();
    let image = Site::offline_or("alertmanager", version, "prom/alertmanager:v0.25.0");
    let config = fs::File::open(asset("notifications.yml")).unwrap();
    let script = "cat >/tmp/config.yml; exec amtool \"$@\"";
    let run = ["run", "--rm", "--interactive", "--network", "none", "--tmpfs", "/tmp"];
    let output = Command::new("docker")
        .args(run)
        .args(["--entrypoint", "sh", &image, "-c", script, "sh"])
        .args(args)
        .stdin(Stdio::from(config))
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn every_alert_goes_where_the_routes_say(on: &'static str) {
    assert!(amtool(on, &["check-config", "/tmp/config.yml"]).contains("SUCCESS"));
    for (labels, expected) in [
        (&["severity=critical", "service=redis"][..], "on-call,team,operators,bot"),
        (&["severity=warning"], "team,operators"),
        (&["severity=info"], "team"),
        // Told rather than lost.
        (&["severity=urgent"], "team,operators"),
        (&["alertname=NoSeverityAtAll"], "team,operators"),
        (&["severity=none"], "nobody"),
        (&["alertname=Watchdog", "severity=none"], "watchdog"),
        (&["test_channel=bot", "severity=critical"], "bot"),
        (&["test_channel=unknown", "severity=critical"], "nobody"),
    ] {
        let test = ["config", "routes", "test", "--config.file=/tmp/config.yml"];
        assert_eq!(amtool(on, &[&test, labels].concat()), expected, "{labels:?}");
    }
}
