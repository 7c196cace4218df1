//! An `.env` with lines that Composes may read differently: what goes on anyway, and what is kept
//! from acting on the wrong stack or over what a person wrote.

use std::fs;

use tests::composes::FULL;
use tests::{Site, docker};

use crate::logs::{archived, run, site, until_last};

/// Adds `lines` to the file of the development stack; returns its whole text.
fn add(site: &Site, lines: &str) -> String {
    let text = fs::read_to_string(site.env_file()).unwrap() + lines;
    fs::write(site.env_file(), &text).unwrap();
    text
}

#[test]
fn an_unclear_password_is_reported_and_never_written_over() {
    let site = Site::new("unclear-fix", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let password = site.env("POSTGRES_PASSWORD");
    let text = fs::read_to_string(site.env_file()).unwrap();
    let text = text.replace(&password, "first$second-and-more");
    fs::write(site.env_file(), &text).unwrap();
    // Where no stack was named, monitoring is mended.
    for (args, status) in
        [(&["doctor", "dev", "--fix"][..], 3), (&["doctor", "--fix"], 0), (&["env", "check"], 3)]
    {
        let said = site.xtask(args).ends_with(status).says("POSTGRES_PASSWORD: Composes read");
        for wrong in ["POSTGRES_PASSWORD is missing", "POSTGRES_PASSWORD is empty"] {
            assert!(!said.stdout.contains(wrong), "{}", said.stdout);
        }
        assert!(!said.stdout.contains("env check dev --fix"), "it would not help");
        assert_eq!(fs::read_to_string(site.env_file()).unwrap(), text);
    }
}

#[test]
fn going_down_loses_no_line_and_means_no_other_project() {
    let site = site("unclear-down");
    let name = run(
        &site,
        "writer",
        &[],
        "trap 'echo last; exit' TERM; echo first; while :; do sleep 0.1; done",
    );
    until_last(&name, "first");
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    let good = fs::read_to_string(site.env_file()).unwrap();
    for line in [
        "COMPOSE_PROJECT_NAME: other\n",
        "DATA_DIR=\"/srv/a\\tb\"\n",
        "METRICS_NETWORK=a$b\n",
        "REDIS_PORT='open\nDATA_DIR=/srv\n",
    ] {
        add(&site, line);
        site.xtask(&["down", "dev"]).ends_with(3).says("development/.env:");
        fs::write(site.env_file(), &good).unwrap();
    }
    assert!(docker(&["inspect", "--format", "{{.State.Running}}", &name]) == "true");

    let bad = [good.as_bytes(), b"nonsense\nPOSTGRES_DB=a$b\n# caf\xe9\n"].concat();
    fs::write(site.env_file(), bad).unwrap();
    let down = site.xtask(&["down", "dev"]).succeeds();
    assert!(!down.stderr.contains("could not archive"), "{}", down.stderr);
    assert!(site.containers().is_empty());
    assert_eq!(archived(&site, "writer").last().map(|line| line.ends_with("last")), Some(true));
}

#[test]
fn one_stack_that_cannot_be_read_keeps_no_other_from_its_backup() {
    let site = Site::new("unclear-other", &[FULL[1]]);
    site.up();
    site.xtask(&["env", "init", "mon"]).succeeds();
    site.monitoring().set_env("PROMETHEUS_PASSWORD", "twelve-and-more");
    let mon = site.monitoring().env_file();
    let good = fs::read_to_string(&mon).unwrap();
    fs::write(&mon, good.replace("twelve-and-more", "twelve$and-more")).unwrap();
    let reason = "monitoring/.env:";
    let left = "monitoring was left out";
    let made = site.xtask(&["backup", "--json"]).ends_with(3).says(reason).says(left).json();
    assert_eq!(made["sets"].as_array().map(Vec::len), Some(1), "{made}");
    site.xtask(&["backup", "mon"]).ends_with(3).says(reason);
    site.xtask(&["status"]).ends_with(3).says("postgres").says(left);
    site.xtask(&["metrics"]).ends_with(3).says(left);
    assert!(site.data().join("metrics/infrastructure.prom").exists());
    // What does not go by that line.
    site.xtask(&["backup", "dev"]).succeeds();
    site.xtask(&["rotate-logs"]).succeeds();
    for args in [&["backup", "list"][..], &["backup", "verify"], &["images", "list"]] {
        site.xtask(args).succeeds();
    }
    site.xtask(&["schedule", "status"]).succeeds();
}

#[test]
fn a_rewrite_changes_no_meaning() {
    let site = Site::new("unclear-fix-twice", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let good = fs::read_to_string(site.env_file()).unwrap();
    let password = site.env("POSTGRES_PASSWORD");
    let fix = |status| site.xtask(&["env", "check", "dev", "--fix"]).ends_with(status);

    let meant = good.replace(&password, "first$second-and-more");
    fs::write(site.env_file(), &meant).unwrap();
    fix(3).says("write POSTGRES_PASSWORD='value'");
    assert_eq!(fs::read_to_string(site.env_file()).unwrap(), meant, "its dollar is meant");

    let tab = good.replace("POSTGRES_DB=", "POSTGRES_DB=db\t# ");
    let refused = tab.replace(&password, "'secret-word\\'");
    fs::write(site.env_file(), &refused).unwrap();
    let said = fix(3).says("docker compose 2.40.3 refuses infrastructure/docker/development/.env");
    assert!(!format!("{}{}", said.stdout, said.stderr).contains("secret-word"));
    assert_eq!(fs::read_to_string(site.env_file()).unwrap(), refused, "nothing is rewritten");

    fs::write(site.env_file(), format!("{tab}REDIS_PORT=a$b\nREDIS_PORT=7000\n")).unwrap();
    fix(0);
    let text = fs::read_to_string(site.env_file()).unwrap();
    assert!(text.contains("REDIS_PORT=a$b\nREDIS_PORT=7000\n"), "what counts stays: {text}");
    assert_eq!(site.env("POSTGRES_DB"), "db\t# case_interview_platform");
}
