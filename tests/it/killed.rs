//! `kill -9` at any moment, then the same command again: it ends well.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tests::composes::FULL;
use tests::{Random, Site, is_long, net, seed};

#[test]
fn setup_and_up_survive_being_killed_at_any_moment() {
    let mut random = Random(seed());
    let rounds = if is_long() { 200 } else { 10 };
    let site = Site::new("killed", &[FULL[1]]);
    let args = [&["up", "dev"], Site::images()].concat();
    let started = Instant::now();
    site.xtask(&args).succeeds();
    let whole = u64::try_from(started.elapsed().as_millis()).unwrap();
    let mut word = 0;
    for round in 0..rounds {
        // From nothing, from a stack that is down, and from one that is up.
        match random.below(3) {
            0 => {
                site.xtask(&["down", "dev", "--purge", "--yes"]).succeeds();
                fs::remove_file(site.env_file()).unwrap();
            }
            1 => drop(site.xtask(&["down", "dev"]).succeeds()),
            _ => {}
        }
        let after = Duration::from_millis(random.below(whole));
        let mut child =
            site.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        println!("round {round}: killed after {} ms", after.as_millis());
        assert_env_is_whole_or_absent(&site);
        // What xtask had started may still hold the lock for a moment.
        let deadline = Instant::now() + Duration::from_secs(90);
        let run = loop {
            let run = site.xtask(&args);
            if !run.stderr.contains("is at work") || Instant::now() > deadline {
                break run;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        run.succeeds();
        word += 1;
        let script = format!(
            "psql \"$URL\" -Atqc 'create table if not exists t (n int); insert into t values ({word})'"
        );
        net::client(&site.image("postgres"), &site.url("DATABASE_URL"), &script);
    }
}

/// A killed writer leaves the old file or the new one, never a part, never one for other eyes.
fn assert_env_is_whole_or_absent(site: &Site) {
    let Ok(facts) = fs::metadata(site.env_file()) else { return };
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    for secret in ["POSTGRES_PASSWORD", "REDIS_PASSWORD"] {
        assert_eq!(site.env(secret).len(), 32, "{secret}");
    }
    assert!(fs::read_to_string(site.env_file()).unwrap().ends_with('\n'));
}

#[test]
fn helper_containers_of_a_killed_run_are_removed_by_the_next() {
    let site = Site::new("helper", &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    let label = format!("case-interview.helper={}", site.project());
    let image =
        if Site::is_offline() { "case-interview-offline/redis:6.2" } else { "redis:6-alpine" };
    let docker = |args: &[&str]| {
        let output = std::process::Command::new("docker").args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    docker(&["run", "--detach", "--rm", "--label", &label, "--entrypoint", "sleep", image, "600"]);
    let left = || docker(&["ps", "--all", "--quiet", "--filter", &format!("label={label}")]);
    assert!(!left().is_empty());
    site.xtask(&["doctor", "dev"]).says("interrupted");
    site.xtask(&["setup", "dev", "--dry-run"]).succeeds();
    assert!(!left().is_empty(), "a dry run changes nothing");
    site.xtask(&["setup", "dev"]).succeeds().says("helper container");
    assert!(left().is_empty());
}

#[test]
fn an_interrupted_up_says_so_and_goes_on_afterwards() {
    let site = Site::new("ctrlc", &[FULL[1]]);
    let args = [&["up", "dev"], Site::images()].concat();
    let mut child =
        site.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    while !said.contains("✓ start") && lines.read_line(&mut said).unwrap() > 0 {}
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    lines.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    site.xtask(&["status", "dev"]).succeeds();
    site.xtask(&args).succeeds();
}
