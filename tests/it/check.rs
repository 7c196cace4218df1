//! `check` and `--offline`: what a later command needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tests::Site;
use tests::composes::FULL;

/// A mistake that a command would meet later, at night or on another machine.
#[test]
fn what_would_fail_later_is_found_by_check() {
    let site = Site::new("later", &[FULL[1]]);
    let root = site.root();
    let replace = |file: &str, old: &str, new: &str| {
        let text = fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains(old), "{old}");
        fs::write(root.join(file), text.replacen(old, new, 1)).unwrap();
    };
    let mode = |file: &str, mode| {
        fs::set_permissions(root.join(file), fs::Permissions::from_mode(mode)).unwrap();
    };
    let checks =
        ["files.typed", "files.readable", "images.offline", "schedule.jobs", "manifest.agrees"];
    let check = || site.xtask(&[&["check", "--json"], checks.as_slice()].concat());
    check().succeeds();

    let stacks = "infrastructure/stacks.toml";
    let rules = "infrastructure/docker/monitoring/prometheus/rules/api.yml";
    replace("infrastructure/backup.toml", "daily = 7", "dayly = 7");
    replace(stacks, "offline/mailhog:double", "offline/mailpit:1");
    replace(stacks, "command = [\"backup\", \"prune\"]", "command = [\"bakup\", \"prune\"]");
    replace(stacks, "server = \"REDIS_MAX_MEMORY\"", "server = \"REDIS_MAXMEMORY\"");
    replace(stacks, "about = \"cadvisor\"", "about = \"cadviser\"");
    replace(
        "infrastructure/docker/monitoring/grafana/provisioning/datasources/prometheus.yml",
        ":",
        ": [",
    );
    mode(rules, 0o600);
    mode("tests/images/base/build.sh", 0o644);
    let found = check().ends_with(1).json();
    for (id, words) in [
        ("files.typed", "dayly"),
        ("files.typed", "datasources/prometheus.yml"),
        ("images.offline", "mailpit"),
        ("images.offline", "not executable"),
        ("schedule.jobs", "bakup"),
        ("manifest.agrees", "REDIS_MAXMEMORY"),
        ("manifest.agrees", "cadviser"),
        ("files.readable", rules),
    ] {
        let mut findings = found["findings"].as_array().unwrap().iter();
        let is_it = |finding: &serde_json::Value| {
            finding["id"] == id
                && finding["severity"] == "error"
                && finding.to_string().contains(words)
        };
        assert!(findings.any(is_it), "{id} {words}: {found:#}");
    }
}

/// A service without an offline image is no reason to refuse, but one to say so.
#[test]
fn up_offline_names_the_services_without_an_offline_image() {
    let site = Site::new("none-offline", &[FULL[1]]);
    let stacks = site.root().join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&stacks).unwrap();
    let without: String =
        text.split_inclusive('\n').filter(|line| !line.contains("/mailhog:double")).collect();
    assert_ne!(text, without);
    fs::write(&stacks, without).unwrap();
    let said = site.xtask(&["up", "dev", "--offline", "--dry-run"]).succeeds().stderr;
    assert!(said.contains("no offline image for mailhog; the pinned one is used"), "{said}");
}
