//! Bad input: its own sentence, its own exit status, and nothing changed.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tests::Site;
use tests::composes::FULL;

use crate::monitoring::{prometheus, starts_of, up};

#[test]
fn what_is_wrong_is_named_and_nothing_is_started() {
    let site = Site::new("bad", &[FULL[1]]);
    site.xtask(&["up", "nowhere"])
        .ends_with(2)
        .says("there is no stack `nowhere`")
        .says("one of: dev");
    site.xtask(&["logs", "dev", "nothing"])
        .ends_with(2)
        .says("has no service `nothing`")
        .says("postgres, redis, mailhog");
    site.xtask(&["shell", "dev", "redis"])
        .ends_with(1)
        .says("redis does not run")
        .says("cargo xtask up dev");
    site.xtask(&["frobnicate"]).ends_with(2).says("unrecognized subcommand");
    site.xtask(&["up", "dev", "--project", "Not A Name"]).ends_with(2).says("lower-case letters");

    site.xtask(&["env", "init", "dev"]).succeeds();
    let good = fs::read_to_string(site.env_file()).unwrap();
    let password = site.env("POSTGRES_PASSWORD");
    let port = format!("POSTGRES_PORT={}", site.env("POSTGRES_PORT"));
    for (from, to, status, words) in [
        (password.as_str(), "postgres", 3, "POSTGRES_PASSWORD"),
        (password.as_str(), "pass$word-that-differs", 3, "POSTGRES_PASSWORD"),
        ("REDIS_MEM_LIMIT=128mb", "REDIS_MEM_LIMIT=65mb", 3, "REDIS_MEM_LIMIT"),
        (port.as_str(), "POSTGRES_PORT=0", 3, "POSTGRES_PORT"),
        ("BIND_ADDRESS=127.0.0.1", "BIND_ADDRESS=192.0.2.1", 3, "192.0.2.1"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        fs::write(site.env_file(), &bad).unwrap();
        let run =
            site.xtask(&[&["up", "dev"], Site::images()].concat()).ends_with(status).says(words);
        assert!(!run.stderr.contains("pass$word"), "{}", run.stderr);
        assert_eq!(fs::read_to_string(site.env_file()).unwrap(), bad, "nothing is changed: {to}");
        assert!(site.containers().is_empty(), "{to}");
    }
    fs::write(site.env_file(), &good).unwrap();

    let taken = TcpListener::bind(("127.0.0.1", site.port("REDIS_PORT"))).unwrap();
    let up = || site.xtask(&[&["up", "dev"], Site::images()].concat());
    up().ends_with(3)
        .says(&site.env("REDIS_PORT"))
        .says(&format!("process {}", std::process::id()));
    assert!(site.containers().is_empty());
    drop(taken);

    let manifest = site.root().join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("mode = \"0700\"", "mode = \"private\"", 1)).unwrap();
    site.xtask(&["status"]).ends_with(1).says("`private` is not an octal mode").says("line ");
    fs::write(&manifest, text).unwrap();
}

#[test]
fn an_empty_password_is_generated_and_a_crlf_file_stays_one() {
    let site = Site::new("crlf", &[FULL[1]]);
    let example = fs::read_to_string(site.folder().join(".env.example")).unwrap();
    fs::write(site.env_file(), example.replace('\n', "\r\n")).unwrap();
    site.xtask(&["setup", "dev"]).succeeds();
    let text = fs::read_to_string(site.env_file()).unwrap();
    assert!(text.lines().count() == text.matches("\r\n").count(), "{text}");
    assert_eq!(site.env("POSTGRES_PASSWORD").trim().len(), 32);
    assert_eq!(fs::metadata(site.env_file()).unwrap().permissions().mode() & 0o777, 0o600);
    let again = site.xtask(&["setup", "dev"]).succeeds();
    assert!(again.stderr.contains("needs nothing"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(site.env_file()).unwrap(), text);
}

#[test]
fn an_engine_that_does_not_answer_is_told_from_one_that_is_far_away() {
    let site = Site::new("engine", &[FULL[1]]);
    let run = |host: &str| {
        let output = site.command(&["up", "dev"]).env("DOCKER_HOST", host).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, said) = run("unix:///no/such/docker.sock");
    assert_eq!(status, Some(3), "{said}");
    assert!(
        said.contains("no Docker engine answers") && said.contains("systemctl start docker"),
        "{said}"
    );
    let (status, said) = run("tcp://127.0.0.1:9");
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("remote Docker engine") && said.contains("DOCKER_HOST"), "{said}");
    assert!(!site.env_file().exists(), "nothing is changed");
}

#[test]
fn data_that_does_not_fit_is_refused_and_left_alone() {
    let site = Site::new("data", &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    let postgres = site.data().join("postgres");
    fs::write(postgres.join("left"), "half a cluster").unwrap();
    site.xtask(&["up", "dev"]).ends_with(3).says("no PG_VERSION");
    fs::remove_file(postgres.join("left")).unwrap();
    for folder in ["global", "base/1", "base/4", "base/5"] {
        fs::create_dir_all(postgres.join(folder)).unwrap();
    }
    fs::write(postgres.join("global/pg_control"), "").unwrap();
    fs::write(postgres.join("PG_VERSION"), "9\n").unwrap();
    site.xtask(&["up", "dev"]).ends_with(3).says("PostgreSQL 9");
    assert_eq!(fs::read_to_string(postgres.join("PG_VERSION")).unwrap(), "9\n");
    assert!(site.containers().is_empty());
}

#[test]
fn a_new_env_over_old_data_is_recognised_and_the_password_can_be_set_anew() {
    let site = Site::new("oldpw", &[FULL[1]]);
    site.up();
    site.xtask(&["down", "dev"]).succeeds();
    let offer = "cargo xtask env set-password dev postgres";
    let doctor = || site.xtask(&["doctor", "dev"]);
    let kept = site.root().join("kept.env");
    fs::rename(site.env_file(), &kept).unwrap();
    doctor().says("the data of postgres has the password of an older one").says(offer);
    fs::rename(kept, site.env_file()).unwrap();
    doctor().succeeds();
    site.set_env("POSTGRES_PASSWORD", "another-password-for-old-data");
    doctor().ends_with(3).says("than those that opened its data last").says(offer);
    let run = site.xtask(&["up", "dev"]).ends_with(1).says("refuses the credentials");
    assert!(run.stderr.contains(offer), "{}", run.stderr);
    assert!(!run.stderr.contains("another-password"), "{}", run.stderr);
    site.xtask(&["env", "set-password", "dev", "postgres"]).succeeds();
    site.xtask(&["down", "dev"]).succeeds();
    doctor().succeeds();
    site.xtask(&["up", "dev"]).succeeds();
}

#[test]
fn a_stand_in_never_starts_on_the_data_of_another_kind() {
    let (made_by, other) = match Site::is_offline() {
        true => ("case-interview-offline/redis:6.2", "redis:6-alpine"),
        false => ("redis:6-alpine", "case-interview-offline/redis:6.2"),
    };
    let site = Site::new("kind", &[FULL[1]]);
    site.up();
    site.xtask(&["down", "dev"]).succeeds();
    site.set_env("REDIS_IMAGE", other);
    site.xtask(&["up", "dev"]).ends_with(3).says(&format!("was made by {made_by}"));
    assert!(site.containers().is_empty());
}

#[test]
fn of_two_at_the_same_moment_one_is_told_who_is_at_work() {
    let site = Site::new("twice", &[FULL[1]]);
    let args = [&["up", "dev"], Site::images()].concat();
    let mut first = site.command(&args);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(first.stderr.take().unwrap());
    while !said.contains('✓') && lines.read_line(&mut said).unwrap() > 0 {}
    // At work until the other has ended, however fast the machine is.
    let pid = rustix::process::Pid::from_child(&first);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let second = site.xtask(&args);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    lines.read_to_string(&mut said).unwrap();
    assert!(first.wait().unwrap().success(), "{said}");
    second.ends_with(1).says("`cargo xtask up dev` (process ").says("is at work");
}

/// A small disk of its own at a path, there until dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        let disk = Self(path);
        disk.run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    fn make_read_only(&self) {
        self.run("mount", &["-o", "remount,ro"]);
    }

    fn run(&self, program: &str, args: &[&str]) {
        let status = Command::new(program).args(args).arg(&self.0).status().unwrap();
        assert!(status.success(), "{program} {args:?} {}", self.0.display());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[test]
fn a_full_or_read_only_disk_is_found_before_anything_is_started() {
    let site = Site::new("disk", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let up = || site.xtask(&[&["up", "dev"], Site::images()].concat());
    let disk = Disk::mount(site.data(), "1m");
    up().ends_with(3).says("free");
    disk.make_read_only();
    up().ends_with(3).says("read-only");
    assert!(site.containers().is_empty());
}

#[test]
fn bad_settings_are_named_before_anything_is_started() {
    let site = Site::new("monbad", &[FULL[1]]);
    site.xtask(&["env", "init", "monitoring"]).succeeds();
    let monitoring = site.monitoring();
    let good = fs::read_to_string(monitoring.env_file()).unwrap();
    for (name, value, words) in [
        ("PROMETHEUS_RETENTION_SIZE", "lots", "PROMETHEUS_RETENTION_SIZE: `lots` is not a size"),
        ("PROMETHEUS_RETENTION_SIZE", "90000GB", "free for data"),
        ("GRAFANA_ADMIN_PASSWORD", "admin", "GRAFANA_ADMIN_PASSWORD is one that everybody tries"),
        ("GRAFANA_PORT", "0", "GRAFANA_PORT is `0`"),
    ] {
        monitoring.set_env(name, value);
        up(&site, "monitoring").ends_with(3).says(words);
        fs::write(monitoring.env_file(), &good).unwrap();
    }
    monitoring.set_env("PROMETHEUS_PASSWORD", &"x1".repeat(40));
    up(&site, "monitoring").ends_with(3).says("PROMETHEUS_PASSWORD");
    fs::write(monitoring.env_file(), &good).unwrap();
}

#[test]
fn a_full_data_directory_is_named_and_what_runs_goes_on() {
    let site = Site::new("monfull", &[FULL[1]]);
    site.xtask(&["env", "init", "monitoring"]).succeeds();
    let monitoring = site.monitoring();
    // It asks for 1.25 times as much.
    monitoring.set_env("PROMETHEUS_RETENTION_SIZE", "100MB");
    let disk = Disk::mount(site.data().join("prometheus"), "1m");
    let path = disk.0.to_str().unwrap();
    let words = format!("free for data in {path}");
    up(&site, "monitoring").ends_with(3).says(&words);
    assert!(monitoring.containers().is_empty());
    drop(disk);

    let disk = Disk::mount(site.data().join("prometheus"), "200m");
    up(&site, "monitoring").succeeds();
    let before = starts_of(&monitoring);
    let filler = disk.0.join("of-a-test");
    // As much as there is.
    let full = std::io::copy(&mut std::io::repeat(0), &mut fs::File::create(&filler).unwrap());
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    up(&site, "monitoring").ends_with(3).says(&words);
    let doctor = site.xtask(&["doctor", "monitoring", "--json"]).ends_with(3).json();
    let findings = doctor["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["id"] == "disk.full"), "{doctor}");
    prometheus(&monitoring, "/api/v1/query?query=up");
    fs::remove_file(filler).unwrap();
    up(&site, "monitoring").succeeds();
    assert_eq!(starts_of(&monitoring), before, "nothing was restarted");
    site.xtask(&["down", "monitoring"]).succeeds();
}
