//! What is kept of logs: the last lines of containers that are removed, and archives up to their bounds.

use std::fs;
use std::time::{Duration, Instant};

use tests::Run;

use crate::logs::{archived, docker, folder, logs, run, site, text, until_last, wait};

#[test]
#[ignore = "for cargo xtask test --long"]
fn archives_outlive_their_containers() {
    let site = site("logs-recreated");
    let rotate = || site.xtask(&["rotate-logs", "dev"]).succeeds();
    let first = run(
        &site,
        "writer",
        &[],
        "echo one; sleep 0.2; echo two >&2; sleep 0.2; printf 'no line break'",
    );
    wait(&first);
    rotate();
    docker(&["rm", "--volumes", &first]);
    // Of the same name.
    let second = run(&site, "writer", &[], "echo three; exec sleep 600");
    until_last(&second, "three");
    let quiet = rotate();
    assert!(!quiet.stderr.contains("gap"), "it had stopped before: {}", quiet.stderr);
    let expected = ["one", "two", "no line break", "three"];
    assert_eq!(
        archived(&site, "writer").iter().map(|line| text(line)).collect::<Vec<_>>(),
        expected
    );
    assert!(archived(&site, "writer")[1].contains(" stderr F two"));
    docker(&["rm", "--force", "--volumes", &second]);
    rotate().says("was removed: what it logged after");
    let shown = logs(&site, &["writer"]);
    assert_eq!(shown[..4], expected);
    assert!(shown[4].contains("was removed"), "{shown:?}");
    site.xtask(&["logs", "dev", "--tail", "2", "--grep", "t"]).succeeds();
}

#[test]
fn going_down_archives_the_last_lines() {
    let site = site("logs-down");
    let writer = run(
        &site,
        "writer",
        &[],
        "echo first; trap 'echo last; exit' TERM; while :; do sleep 0.1; done",
    );
    until_last(&writer, "first");
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    site.xtask(&["down", "dev"]).succeeds().says("archive the last lines");
    assert_eq!(logs(&site, &["writer"]), ["first", "last"]);
    let quiet = site.xtask(&["rotate-logs", "dev"]).succeeds();
    assert!(!quiet.stderr.contains("was removed"), "{}", quiet.stderr);

    // What cannot be archived keeps nothing from going down.
    run(&site, "writer", &[], "echo lost");
    let lock = site.data().join("logs/development/lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    site.xtask(&["down", "dev"]).succeeds().says("could not archive the last lines");
    assert!(site.containers().is_empty());
}

#[test]
fn old_archives_go_first_and_a_dry_run_changes_nothing() {
    let site = site("logs-keep");
    let manifest = site.root().join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let bound = |size: &str| {
        let bounds = format!("logs = {{ days = 30, size = \"{size}\" }}");
        let lines =
            text.lines().map(|line| if line.starts_with("logs = ") { &bounds } else { line });
        fs::write(&manifest, lines.collect::<Vec<_>>().join("\n")).unwrap();
    };
    bound("400KB");
    let script = "while :; do head -c 100000 /dev/urandom | od -An -tx1 -w32 -v; sleep 1; done";
    let writer = run(&site, "writer", &[], script);
    let size = || -> u64 {
        let files = fs::read_dir(folder(&site, "writer")).into_iter().flatten().flatten();
        let archives = files.filter(|file| file.path().extension().is_some_and(|end| end == "zst"));
        archives.map(|file| file.metadata().unwrap().len()).sum()
    };
    let dry = site.xtask(&["rotate-logs", "dev", "--dry-run"]).succeeds();
    assert!(dry.stdout.contains("would: archive") && !folder(&site, "writer").exists());
    let deadline = Instant::now() + Duration::from_secs(120);
    let removed = loop {
        let now: Run = site.xtask(&["rotate-logs", "dev", "--json"]).succeeds();
        let removed = now.json()["services"][0]["removed"].clone();
        assert!(size() <= 400 << 10, "{}", size());
        if removed.as_array().is_some_and(|files| !files.is_empty()) {
            break removed;
        }
        assert!(Instant::now() < deadline, "nothing was removed");
    };
    docker(&["kill", &writer]);
    // What is left to archive could make more archives too much.
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    bound("100KB");
    let dry = site.xtask(&["rotate-logs", "dev", "--dry-run"]).succeeds();
    let now = site.xtask(&["rotate-logs", "dev", "--json"]).succeeds();
    let too_much = now.json()["services"][0]["removed"].as_array().unwrap().clone();
    assert!(!too_much.is_empty());
    for file in too_much {
        assert!(dry.stdout.contains(file.as_str().unwrap()), "{file}: {}", dry.stdout);
    }
    let first = removed[0].as_str().unwrap();
    assert!(
        !first.contains(".log.zst.") && first.ends_with(".log.zst") && first.len() == 18,
        "{first}"
    );
    site.xtask(&["logs", "dev", "--tail", "1"]).succeeds();
}
