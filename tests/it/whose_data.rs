//! A data directory is known by what it is, and by who uses it: never are there two servers on one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::composes::FULL;
use tests::engine::SecondEngine;
use tests::{Run, Site};

/// `cargo xtask` through another engine.
fn through(engine: &SecondEngine, site: &Site, args: &[&str]) -> Run {
    let output = site.command(args).env("DOCKER_HOST", engine.address()).output().unwrap();
    Run::new(format!("DOCKER_HOST=… cargo xtask {}", args.join(" ")), &output)
}

const PURGE: [&str; 4] = ["down", "dev", "--purge", "--yes"];

#[test]
fn a_second_engine_is_refused_what_a_first_one_uses() {
    let site = Site::new("two-engines", &[FULL[1]]);
    site.up();
    site.mark(1);
    let set = site.backup(&[]);
    let second = SecondEngine::start();
    let first = format!("the project {} on the engine at unix:///var/run/", site.project());
    let refused = |args: &[&str]| {
        through(&second, &site, args).ends_with(3).says("is in use").says(&first).says("postgres")
    };
    for args in [&["setup", "dev"][..], &["up", "dev"], &["doctor", "dev"], &PURGE] {
        refused(args);
    }
    refused(&["backup", "restore", &set, "--yes"]);
    site.xtask(&["backup", "restore", &set, "--yes"]).succeeds();
    for moving in ["--undo", "--drop"] {
        refused(&["backup", "restore", "dev", moving, "--yes"]);
    }
    assert_eq!(site.marked(), (1, 1));
    assert_eq!(site.kept().len(), 2);

    // Who has taken the stack down leaves its data to others.
    site.xtask(&["down", "dev"]).succeeds();
    through(&second, &site, &["setup", "dev"]).succeeds();
    site.up().says("taken over").says("has no container");
    assert_eq!(site.marked(), (1, 1));
}

#[test]
fn the_record_of_an_engine_that_is_silent_counts_until_somebody_removes_it() {
    let site = Site::new("silent-engine", &[FULL[1]]);
    site.up();
    site.mark(1);
    site.xtask(&["down", "dev"]).succeeds();
    let second = SecondEngine::start();
    through(&second, &site, &["setup", "dev"]).succeeds();
    drop(second);
    for args in [&["up", "dev"][..], &PURGE] {
        site.xtask(args).ends_with(3).says("does not answer").says("may run on without it");
    }
    let said = site.xtask(&["up", "dev"]).stderr;
    let advice = said.split("gone for good: ").nth(1).expect("a way out");
    let done = Command::new("sh").args(["-ec", advice.lines().next().unwrap()]).status();
    assert!(done.unwrap().success(), "{advice}");
    site.up();
    assert_eq!(site.marked(), (1, 1));
    // An installation from before there were records is taken as it runs.
    for name in ["used-by", "identity"] {
        fs::remove_file(site.data().join(format!("state/development-{name}.json"))).unwrap();
    }
    let known = site.root().join(format!("infrastructure/.state/{}-data.json", site.project()));
    fs::remove_file(&known).unwrap();
    let before = site.containers();
    site.xtask(&["restart", "dev", "redis"]).succeeds();
    site.up();
    assert_eq!(site.containers(), before);
    assert!(known.exists());
}

/// A directory under another name; unmounted when dropped.
struct Alias(PathBuf);

impl Alias {
    fn of(directory: &Path, name: PathBuf) -> Self {
        fs::create_dir_all(&name).unwrap();
        let status = Command::new("mount").arg("--bind").arg(directory).arg(&name).status();
        assert!(status.unwrap().success());
        Self(name)
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn another_name_of_a_directory_is_the_same_directory() {
    let site = Site::new("alias", &[FULL[1]]);
    site.up();
    let before = site.containers();
    let beside = |name: &str| site.data().with_file_name(name);
    let all = Alias::of(&site.data(), beside("all"));
    let inner = Alias::of(&site.data().join("postgres"), beside("one").join("postgres"));
    let whole = Alias::of(site.data().parent().unwrap(), beside("whole"));
    for data in [all.0.clone(), beside("one"), whole.0.join("data")] {
        let copy = ["--project", "other", "--data-dir", data.to_str().unwrap()];
        for args in [&["setup", "dev"][..], &["up", "dev"], &PURGE] {
            let run = site.xtask(&[args, &copy].concat()).ends_with(3);
            run.says(&format!("the project {}", site.project()));
        }
        assert!(!site.folder().join(".env.other").exists(), "nothing is changed");
    }
    assert_eq!(site.containers(), before);
    drop(inner);
    site.xtask(&["doctor", "dev"]).succeeds();
}
