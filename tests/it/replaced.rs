//! Attacks by whoever may write into a folder of ours, or read the lock's: links, pipes, held locks.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tests::composes::{FULL, on_path};
use tests::{Run, Site, net};

/// A user without rights, and not in the engine's group.
const NOBODY: u32 = 65_533;
/// Nothing that these commands do takes as long.
const LIMIT: Duration = Duration::from_secs(60);

/// A site whose directories are made, and that other users may look into.
fn site(name: &str) -> Site {
    let site = Site::new(name, &[FULL[1]]);
    site.xtask(&["setup", "dev"]).succeeds();
    fs::set_permissions(site.root().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    site
}

/// How the command ends, which must not hang.
#[track_caller]
fn ends(site: &Site, args: &[&str]) -> Run {
    let child = site.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    finish(child, args)
}

#[track_caller]
fn finish(mut child: Child, args: &[&str]) -> Run {
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("`cargo xtask {}` hangs", args.join(" "));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Run::new(args.join(" "), &child.wait_with_output().unwrap())
}

fn mkfifo(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_in_place_of_a_file_hangs_no_command() {
    let site = site("pipes");
    for (file, args) in [
        ("backups/state/verified.json", &["backup", "prune"][..]),
        ("backups/state/lock", &["backup", "verify"]),
        ("backups/README.md", &["backup", "verify"]),
        (
            "backups/sets/20260101T000000Z-x-development.0000000000000000000000000000000000000000000000000000000000000000.json",
            &["backup", "verify"],
        ),
        ("logs/development/redis/cursor.json", &["rotate-logs", "dev"]),
        ("logs/development/redis/2026-01-01.log.zst", &["logs", "dev", "redis"]),
        ("logs/development/lock", &["rotate-logs", "dev"]),
        ("postgres/PG_VERSION", &["doctor", "dev"]),
        ("state/development-data.json", &["down", "dev", "--purge", "--yes"]),
        ("state/development-restore.json", &["backup", "restore", "dev", "--undo"]),
    ] {
        let path = site.data().join(file);
        let before = fs::read(&path).ok();
        mkfifo(&path);
        let run = ends(&site, args);
        assert_ne!(run.status, 0, "{file}: {}{}", run.stdout, run.stderr);
        run.says("is a named pipe");
        fs::remove_file(&path).unwrap();
        before.iter().for_each(|before| fs::write(&path, before).unwrap());
    }
}

#[test]
fn what_a_link_leads_to_stays_as_it_is() {
    let site = site("links");
    ends(&site, &["backup", "verify"]);
    let victim = site.data().join("victim");
    fs::write(&victim, "dear").unwrap();
    for (file, args) in [
        ("backups/README.md", &["backup", "verify"][..]),
        ("backups/state/lock", &["backup", "verify"]),
        ("backups/state/verified.json", &["backup", "verify"]),
        ("logs/development/lock", &["rotate-logs", "dev"]),
        ("metrics/backup.prom", &["backup", "verify"]),
        ("metrics/infrastructure.prom", &["metrics"]),
    ] {
        let path = site.data().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(&victim, &path).unwrap();
        ends(&site, args);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "dear", "{file}");
        fs::remove_file(&path).unwrap();
    }

    // Nor does root go where a folder of ours was put elsewhere.
    let (logs, elsewhere) = (site.data().join("logs/development"), site.data().join("elsewhere"));
    fs::rename(&logs, &elsewhere).unwrap();
    let before = fs::read_dir(&elsewhere).unwrap().count();
    symlink(&elsewhere, &logs).unwrap();
    std::os::unix::fs::lchown(&logs, Some(NOBODY), None).unwrap();
    ends(&site, &["rotate-logs", "dev"]).ends_with(1).says("is a link of user 65533");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), before);
}

/// `flock` by a user without rights, until killed.
fn flock(path: &Path) -> Child {
    let user = format!("--reuid={NOBODY}");
    Command::new("setpriv")
        .args([&user, &format!("--regid={NOBODY}"), "--clear-groups", "flock", "--nonblock"])
        .arg(path)
        .args(["sleep", "120"])
        .spawn()
        .unwrap()
}

#[test]
fn nobody_who_may_read_the_repository_can_hold_up_its_commands() {
    let site = site("flock");
    let state = site.root().join("infrastructure/.state");
    let lock = state.join(format!("{}.lock", site.project()));
    // As earlier versions left them.
    for (path, mode) in [(&state, 0o755), (&lock, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    ends(&site, &["env", "init", "dev"]).succeeds();
    for path in [&state, &lock] {
        let mut held = flock(path);
        assert!(!held.wait().unwrap().success(), "{} can be held", path.display());
    }
}

#[test]
fn a_wait_says_what_for_and_ends_when_asked_to() {
    let site = site("waits");
    let state = site.root().join("infrastructure/.state");
    let lock = state.join(format!("{}.lock", site.project()));
    for path in [&state, &lock] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(&lock, "").unwrap();
    let mut held = flock(&lock);
    net::eventually("the lock is held", || fs::File::open(&lock).unwrap().try_lock().is_err());
    let args = ["env", "init", "dev", "--wait"];
    let log = site.root().join("said");
    for signal in ["-TERM", "-INT"] {
        let said = fs::File::create(&log).unwrap();
        let child = site.command(&args).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        net::eventually("it says what it waits for", || {
            fs::read_to_string(&log).unwrap().contains("waiting for another program")
        });
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        finish(child, &args).ends_with(130);
    }
    ends(&site, &args[..3]).ends_with(1).says("another program holds the lock").says("fuser");
    held.kill().unwrap();
    held.wait().unwrap();
}

#[test]
fn another_user_of_the_checkout_is_told_whose_it_is() {
    let mut site = site("others");
    let owner = 4322;
    site.run_as(owner, owner);
    ends(&site, &["env", "init", "dev"]);
    chown(site.root(), Some(owner), None).unwrap();
    let mut command = Command::new(on_path("setpriv").unwrap());
    command
        .args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"])
        .arg(tests::xtask())
        .args(["env", "init", "dev"])
        .current_dir(site.root());
    site.environment(&mut command);
    let run = Run::new("as another user".to_owned(), &command.output().unwrap());
    run.ends_with(1).says("belongs to user 4322").says("run the command as user 4322, or as root");
}
