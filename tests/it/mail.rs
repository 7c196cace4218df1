//! MailHog logs the text of every mail: none of it is archived, and no health check adds to it.

use std::fs;
use std::process::Command;

use tests::composes::FULL;
use tests::{Site, docker, net};

const SUBJECT: &str = "the salary of Anna";
const SETTING: &str = "logs = \"not-archived\"\n";

/// All that the engine has of a container's log.
fn log(id: &str) -> String {
    let output = Command::new("docker").args(["logs", id]).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// Waits until the health check has passed once more.
fn one_more_check(id: &str) {
    let answers = || docker(&["inspect", "--format", "{{json .State.Health.Log}}", id]);
    let before = answers();
    net::eventually("the health check is asked", || answers() != before);
    assert_eq!(docker(&["inspect", "--format", "{{.State.Health.Status}}", id]), "healthy");
}

#[test]
fn the_text_of_mails_is_shown_live_and_never_archived() {
    let site = Site::new("mail", &[FULL[1]]);
    site.up();
    let part = site.development();
    let id = part.container("mailhog");
    let healthy = || docker(&["inspect", "--format", "{{.State.Health.Status}}", &id]) == "healthy";
    net::eventually("MailHog is healthy", healthy);
    net::send_mail(part.port("MAILHOG_SMTP_PORT"), SUBJECT);
    let shown = site.xtask(&["logs", "dev", "mailhog"]).succeeds();
    assert!(shown.stdout.contains(SUBJECT), "{}", shown.stdout);

    site.xtask(&["rotate-logs", "dev"]).succeeds();
    site.xtask(&["down", "dev"]).succeeds();
    let archives = site.data().join("logs/development");
    assert!(archives.join("postgres").exists() && !archives.join("mailhog").exists());

    let bound = "{{.HostConfig.LogConfig.Config}}";
    site.up();
    let id = part.container("mailhog");
    assert_eq!(docker(&["inspect", "--format", bound, &id]), "map[max-file:2 max-size:1m]");
}

#[test]
fn a_health_check_of_mailhog_logs_nothing() {
    let site = Site::new("mailcheck", &[FULL[1]]);
    site.up();
    let id = site.development().container("mailhog");
    let has_been_asked =
        || docker(&["inspect", "--format", "{{len .State.Health.Log}}", &id]) != "0";
    net::eventually("the health check is asked", has_been_asked);
    let before = log(&id);
    (0..3).for_each(|_| one_more_check(&id));
    assert_eq!(log(&id), before);

    // One that no longer takes mail is not healthy, though its page is there.
    let ask = docker(&["inspect", "--format", "{{index .Config.Healthcheck.Test 1}}", &id]);
    let other = ask.replace(":0401 ", ":0402 ");
    assert_ne!(ask, other);
    let status =
        |script: &str| Command::new("docker").args(["exec", &id, "sh", "-c", script]).status();
    assert!(status(&ask).unwrap().success() && !status(&other).unwrap().success());
}

#[test]
fn what_an_earlier_setting_has_archived_ages_without_a_gap() {
    let site = Site::new("mailold", &[FULL[1]]);
    let manifest = site.root().join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains(SETTING));
    fs::write(&manifest, text.replace(SETTING, "")).unwrap();
    site.up();
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    let archive = site.data().join("logs/development/mailhog");
    assert!(archive.is_dir());

    fs::write(&manifest, &text).unwrap();
    site.xtask(&["down", "dev"]).succeeds();
    site.up();
    let run = site.xtask(&["rotate-logs", "dev", "--json"]).succeeds().json();
    let services = run["services"].as_array().unwrap();
    let mailhog = services.iter().find(|line| line["service"] == "mailhog").unwrap();
    assert_eq!((&mailhog["entries"], &mailhog["gaps"]), (&0.into(), &serde_json::json!([])));
    assert!(archive.is_dir(), "it is removed when it is old enough, as every other");
    site.xtask(&["metrics"]).succeeds();
    let metrics = fs::read_to_string(site.data().join("metrics/infrastructure.prom")).unwrap();
    assert!(metrics.contains("log_gaps_total{stack=\"development\",service=\"postgres\"}"));
    assert!(!metrics.contains("log_gaps_total{stack=\"development\",service=\"mailhog\"}"));
}
