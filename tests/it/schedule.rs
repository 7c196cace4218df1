//! Scheduled work: real cron and real systemd, each in a container of the test's own, run jobs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::composes::FULL;
use tests::{Run, Site, xtask};

/// A machine with a scheduler: a container that sees the site's files under the same paths, and
/// the engine. Removed when dropped.
struct Machine<'a> {
    name: String,
    site: &'a Site,
}

const BASE: &str = "apt-get update -qq && apt-get install -y -qq --no-install-recommends cron systemd >/dev/null && rm -rf /var/lib/apt/lists/*";

fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().unwrap()
}

/// An image with cron and systemd, made once.
fn image() -> &'static str {
    static MADE: OnceLock<&str> = OnceLock::new();
    MADE.get_or_init(make_image)
}

fn make_image() -> &'static str {
    let tag = "case-interview-test/schedulers:bookworm";
    if docker(&["image", "inspect", tag]).status.success() {
        return tag;
    }
    let base =
        if Site::is_offline() { "case-interview-offline/base:bookworm" } else { "debian:bookworm" };
    let mut build = Command::new("docker")
        .args(["build", "--tag", tag, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = format!("FROM {base}\nRUN {BASE}\n");
    std::io::Write::write_all(&mut build.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(build.wait().unwrap().success(), "the image with schedulers does not build");
    tag
}

impl<'a> Machine<'a> {
    fn start(site: &'a Site, options: &[&str], program: &[&str]) -> Self {
        let name = format!("{}-machine", site.project());
        let files = site.root().parent().unwrap().display().to_string();
        // A copy, which no build takes away meanwhile.
        let own = site.root().join("xtask-of-the-machine");
        fs::copy(xtask(), &own).unwrap();
        let client = tests::composes::on_path("docker").unwrap().display().to_string();
        let mounts = [
            format!("{files}:{files}"),
            format!("{client}:/usr/bin/docker:ro"),
            format!("{}:/opt/xtask:ro", own.display()),
            "/var/run/docker.sock:/docker.sock".to_owned(),
        ];
        let mounts: Vec<_> = mounts.iter().flat_map(|mount| ["--volume", mount]).collect();
        let fixed = ["run", "--detach", "--name", &name, "--env", "container=docker"];
        let run = docker(&[&fixed, options, &mounts, &[image()], program].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        Self { name, site }
    }

    /// Runs a program inside, in the repository's root.
    fn run(&self, program: &[&str]) -> Output {
        let root = self.site.root().display().to_string();
        let environment = ["--env", "DOCKER_HOST=unix:///docker.sock"];
        docker(&[&["exec", "--workdir", &root], &environment[..], &[&self.name], program].concat())
    }

    fn xtask(&self, args: &[&str]) -> String {
        let output = self.run(&[&["/opt/xtask"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &said
    }

    fn status(&self) -> Value {
        let output = self.run(&["/opt/xtask", "schedule", "status", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until `job` has the result.
    fn wait_for(&self, job: &str, result: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            let status = self.status();
            let line =
                status["jobs"].as_array().unwrap().iter().find(|line| line["job"] == job).unwrap();
            if line["result"] == result {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "{job} is not {result}: {status:#}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.name]);
    }
}

/// A site with two jobs: one that archives logs, and one that fails.
fn site(name: &str) -> Site {
    let site = Site::new(name, &[FULL[1]]);
    let path = site.root().join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("[[job]]").unwrap();
    let stacks = &rest[rest.find("[[stack]]").unwrap()..];
    let jobs = "[[job]]\nname = \"rotate-logs\"\ncommand = [\"rotate-logs\"]\nevery = \"1min\"\n\n[[job]]\nname = \"broken\"\ncommand = [\"status\", \"nowhere\"]\nevery = \"1min\"\n\n";
    fs::write(&path, format!("{before}{jobs}{stacks}")).unwrap();
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    site
}

/// Starts a container of the stack whose line the job is to archive.
fn log_a_line(site: &Site) {
    let redis =
        if Site::is_offline() { "case-interview-offline/redis:6.2" } else { "redis:6-alpine" };
    let label = format!("com.docker.compose.project={}", site.project());
    let service = "com.docker.compose.service=writer";
    let name = format!("{}-writer", site.project());
    let args = [
        "run",
        "--name",
        &name,
        "--label",
        &label,
        "--label",
        service,
        "--entrypoint",
        "echo",
        redis,
    ];
    assert!(docker(&[&args[..], &["archive me"]].concat()).status.success());
}

fn assert_the_jobs_have_run(machine: &Machine<'_>) {
    let site = machine.site;
    machine.wait_for("rotate-logs", "good");
    let broken = machine.wait_for("broken", "failed");
    assert!(broken["error"].as_str().unwrap().contains("no stack `nowhere`"), "{broken}");
    assert!(broken["next"].is_string() && broken["succeeded"].is_null(), "{broken}");
    let folder = site.data().join("logs/development/writer");
    assert!(folder.join("cursor.json").exists(), "the job archived nothing");
    let metrics = fs::read_to_string(site.data().join("metrics/schedule.prom")).unwrap();
    for line in [
        "case_interview_job_last_run_failed{job_name=\"broken\"} 1",
        "case_interview_job_last_run_failed{job_name=\"rotate-logs\"} 0",
        "case_interview_job_interval_seconds{job_name=\"rotate-logs\"} 60",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let program = site.data().join("state/bin/xtask");
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o700);
}

/// What Prometheus reads of whether work is meant to run by itself.
fn wanted(site: &Site) -> String {
    let text = fs::read_to_string(site.data().join("metrics/schedule-wanted.prom")).unwrap();
    text.trim().rsplit(' ').next().unwrap().to_owned()
}

fn assert_install_is_idempotent_and_can_be_removed(machine: &Machine<'_>, with: &str) {
    let again = machine.xtask(&["schedule", "install", "--with", with]);
    assert!(again.contains("the jobs are installed"), "{again}");
    assert_eq!(wanted(machine.site), "1");
    machine.xtask(&["schedule", "remove"]);
    assert!(machine.status()["scheduler"].is_null());
    for gone in ["state/bin/xtask", "metrics/schedule.prom"] {
        assert!(!machine.site.data().join(gone).exists(), "{gone}");
    }
    assert_eq!(wanted(machine.site), "0");
    let again = machine.xtask(&["schedule", "remove"]);
    assert!(again.contains("no jobs are installed"), "{again}");
}

#[test]
fn cron_runs_the_jobs() {
    let site = site("cron");
    log_a_line(&site);
    let machine = Machine::start(&site, &["--init"], &["cron", "-f"]);
    let other = machine.run(&["/opt/xtask", "schedule", "install", "--with", "systemd"]);
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(said.contains("systemd does not run this machine"), "{said}");
    let dry = machine.xtask(&["schedule", "install", "--dry-run"]);
    assert!(dry.contains("schedule run rotate-logs") && machine.status()["scheduler"].is_null());
    machine.xtask(&["schedule", "install"]);
    assert_eq!(machine.status()["scheduler"], "cron");
    assert_the_jobs_have_run(&machine);
    let root = machine.run(&["stat", "--format", "%U %a", "/etc/cron.d/case-interview"]);
    assert_eq!(String::from_utf8_lossy(&root.stdout).trim(), "root 644");
    assert_install_is_idempotent_and_can_be_removed(&machine, "cron");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn every_shipped_job_does_its_work_under_cron() {
    let site = Site::new("jobs", &[FULL[1]]);
    let path = site.root().join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&path).unwrap();
    // Each every minute, at no certain time: those that need a set succeed once there is one.
    let is_time = |line: &&str| line.starts_with("at = ") || line.starts_with("jitter = ");
    let hurry = |line| if str::starts_with(line, "every = ") { "every = \"1min\"" } else { line };
    let (jobs, stacks) = text.split_once("[[stack]]").unwrap();
    let lines: Vec<_> = jobs.lines().filter(|line| !is_time(line)).map(hurry).collect();
    fs::write(&path, format!("{}\n[[stack]]{stacks}", lines.join("\n"))).unwrap();
    site.up();
    let machine = Machine::start(&site, &["--init"], &["cron", "-f"]);
    machine.xtask(&["schedule", "install"]);
    let jobs = machine.status()["jobs"].as_array().unwrap().clone();
    assert_eq!(jobs.len(), text.matches("[[job]]").count());
    for job in jobs {
        machine.wait_for(job["job"].as_str().unwrap(), "good");
    }
    for made in ["metrics/infrastructure.prom", "metrics/backup.prom", "logs/development/redis"] {
        assert!(site.data().join(made).exists(), "{made}");
    }
    let sets = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    assert_eq!(sets["sets"][0]["drill"]["ok"], true, "{sets}");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn systemd_runs_the_jobs() {
    let site = site("systemd");
    log_a_line(&site);
    let options = [
        "--cap-add",
        "SYS_ADMIN",
        "--security-opt",
        "seccomp=unconfined",
        "--security-opt",
        "apparmor=unconfined",
        "--cgroupns",
        "host",
        "--volume",
        "/sys/fs/cgroup:/sys/fs/cgroup",
        "--tmpfs",
        "/run",
        "--tmpfs",
        "/run/lock",
    ];
    let machine = Machine::start(&site, &options, &["/lib/systemd/systemd"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !machine.run(&["test", "-d", "/run/systemd/system"]).status.success()
        || !machine.run(&["systemctl", "list-timers"]).status.success()
    {
        assert!(Instant::now() < deadline, "systemd does not start in a container");
        std::thread::sleep(Duration::from_millis(200));
    }
    machine.xtask(&["schedule", "install"]);
    assert_eq!(machine.status()["scheduler"], "systemd");
    assert_the_jobs_have_run(&machine);
    let failed = machine.run(&["systemctl", "is-failed", "case-interview-broken.service"]);
    assert_eq!(String::from_utf8_lossy(&failed.stdout).trim(), "failed");
    assert_install_is_idempotent_and_can_be_removed(&machine, "systemd");
    let timers = machine.run(&["systemctl", "list-timers", "--all"]);
    assert!(!String::from_utf8_lossy(&timers.stdout).contains("case-interview"));
}

#[test]
fn systemd_takes_the_units() {
    let site = Site::new("units", &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    let plan = site
        .xtask(&["schedule", "install", "--with", "systemd", "--dry-run", "--json"])
        .succeeds()
        .json();
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for step in plan["steps"].as_array().unwrap() {
        let Some(contents) = step["contents"].as_str() else { continue };
        let path = step["what"].as_str().unwrap().trim_start_matches("write ");
        let unit = folder.path().join(Path::new(path).file_name().unwrap());
        fs::write(&unit, contents).unwrap();
        units.push(unit);
    }
    assert_eq!(units.len(), 12, "a service and a timer for each of six jobs: {plan:#}");
    // systemd looks whether the program is there.
    let program = site.data().join("state/bin/xtask");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy(xtask(), program).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").args(&units).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !said.contains(&folder.path().display().to_string()),
        "{said}"
    );
}

#[test]
fn what_keeps_jobs_from_being_scheduled_is_named() {
    let site = Site::new("unscheduled", &[FULL[1]]);
    site.xtask(&["schedule", "install"])
        .ends_with(3)
        .says("no stack is set up")
        .says("cargo xtask setup");
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    site.xtask(&["schedule", "run", "nothing"])
        .ends_with(2)
        .says("there is no job `nothing`")
        .says("rotate-logs");
    let data = site.data();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    site.xtask(&["schedule", "install"])
        .ends_with(1)
        .says("other users can write")
        .says("chmod go-w");
    assert!(!data.join("state/bin").exists());
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    site.xtask(&["schedule", "run", "rotate-logs"]).succeeds();
    let status =
        site.xtask(&["schedule", "status", "--json"]).succeeds().says("not installed").json();
    let rotate = status["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["job"] == "rotate-logs")
        .unwrap()
        .clone();
    assert_eq!(
        (rotate["result"].as_str(), rotate["next"].is_null()),
        (Some("good"), true),
        "{rotate}"
    );
}

#[test]
fn jobs_go_by_nothing_that_others_can_change() {
    let site = Site::new("obeyed", &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    let install = || site.xtask(&["schedule", "install", "--with", "cron", "--dry-run"]);
    install().succeeds();
    let (root, data) = (site.root(), site.data());
    let dashboards = "infrastructure/docker/monitoring/grafana/dashboards";
    for place in [
        root.join("infrastructure"),
        root.join("infrastructure/stacks.toml"),
        root.join("infrastructure/docker/development/docker-compose.yml"),
        root.join(dashboards),
        root.clone(),
        data.join("state"),
        root.parent().unwrap().join("bin"),
    ] {
        let before = fs::metadata(&place).unwrap().permissions();
        fs::set_permissions(&place, fs::Permissions::from_mode(before.mode() | 0o002)).unwrap();
        install().ends_with(1).says(&format!("other users can write {}", place.display()));
        fs::set_permissions(&place, before).unwrap();
    }
    // A folder that anybody may add programs to, before the others.
    let path = format!("/tmp:{}", root.parent().unwrap().join("bin").display());
    let mut command = site.command(&["schedule", "install", "--with", "cron", "--dry-run"]);
    let output = command.env("PATH", path).output().unwrap();
    Run::new("PATH=/tmp:… schedule install".to_owned(), &output)
        .ends_with(1)
        .says("other users can write /tmp")
        .says("take it out of PATH");

    let manifest = root.join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    for evil in [r#"["down", "mon", "--purge", "--yes"]"#, r#"["backup", "--fresh"]"#] {
        fs::write(&manifest, text.replacen(r#"["metrics"]"#, evil, 1)).unwrap();
        install().ends_with(3).says("does not run by itself");
        site.xtask(&["schedule", "run", "metrics"]).ends_with(3).says("does not run by itself");
    }
    fs::write(&manifest, text).unwrap();
    install().succeeds();
}
