//! `kill -9` at any moment, then the same command again: it ends well.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tests::composes::FULL;
use tests::{Random, Site, is_long, net, seed};

#[test]
fn setup_up_and_purge_survive_being_killed_at_any_moment() {
    campaign(&Site::new("killed", &[FULL[1]]), if is_long() { 200 } else { 5 });
}

/// There, directories are made and removed by helper containers.
#[test]
fn they_do_so_for_a_user_who_is_not_root() {
    let mut site = Site::new("killed-user", &[FULL[1]]);
    site.run_as(4323, fs::metadata("/var/run/docker.sock").unwrap().gid());
    campaign(&site, if is_long() { 100 } else { 2 });
}

fn campaign(site: &Site, rounds: u64) {
    let mut random = Random(seed());
    let up = [&["up", "dev"], Site::images()].concat();
    let purge = vec!["down", "dev", "--purge", "--yes"];
    let started = Instant::now();
    site.xtask(&up).succeeds();
    let whole = u64::try_from(started.elapsed().as_millis()).unwrap();
    for round in 0..rounds {
        // From nothing, from a stack that is down, and from one that is up.
        match random.below(3) {
            0 => {
                site.xtask(&purge).succeeds();
                fs::remove_file(site.env_file()).unwrap();
            }
            1 => drop(site.xtask(&["down", "dev"]).succeeds()),
            _ => {}
        }
        let args = if random.below(4) == 0 { &purge } else { &up };
        let after = Duration::from_millis(random.below(whole));
        let mut child =
            site.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        println!("round {round}: {} killed after {} ms", args.join(" "), after.as_millis());
        assert_env_is_whole_or_absent(site);
        site.once_free(args);
        site.once_free(&up);
        let script = format!(
            "psql \"$URL\" -Atqc 'create table if not exists t (n int); insert into t values ({round})'"
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
    let start = || {
        docker(&[
            "run",
            "--detach",
            "--rm",
            "--label",
            &label,
            "--entrypoint",
            "sleep",
            image,
            "600",
        ])
    };
    start();
    let left = || docker(&["ps", "--all", "--quiet", "--filter", &format!("label={label}")]);
    assert!(!left().is_empty());
    site.xtask(&["doctor", "dev"]).says("interrupted");
    site.xtask(&["setup", "dev", "--dry-run"]).succeeds();
    assert!(!left().is_empty(), "a dry run changes nothing");
    site.xtask(&["setup", "dev"]).succeeds().says("helper container");
    assert!(left().is_empty());

    // Those that end by themselves, the engine removes meanwhile.
    let ids: Vec<_> = (0..6).map(|_| start()).collect();
    let mut ending = std::process::Command::new("docker")
        .arg("kill")
        .args(&ids)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    site.xtask(&["setup", "dev"]).succeeds();
    assert!(left().is_empty());
    ending.wait().unwrap();
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
    assert!(said.contains("interrupted") && said.contains("cargo xtask up dev"), "{said}");
    site.xtask(&["status", "dev"]).succeeds();
    site.xtask(&args).succeeds();
}
