//! A copy of the repository's files that a test may do anything to.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::composes::{Compose, on_path};
use crate::part::{EXAMPLE, Part, set};
use crate::{Permit, Run, root, versions, xtask};

/// Programs that xtask may call, beside docker and a Compose.
const PROGRAMS: [&str; 14] = [
    "docker",
    "sh",
    "git",
    "tar",
    "mkdir",
    "python3",
    "pip3",
    "debootstrap",
    "fakeroot",
    "cat",
    "mv",
    "rm",
    "sleep",
    "cargo",
];

/// A copy of the repository's files with a project, ports and data of its own.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    project: String,
    path: PathBuf,
    docker_config: PathBuf,
    as_user: Option<String>,
    engine: Option<String>,
    _permit: Permit,
}

impl Site {
    /// A site that finds `composes` and no others.
    pub fn new(name: &str, composes: &[Compose]) -> Self {
        let permit = Permit::take();
        // A space, since a user's path may have one.
        let folder = tempfile::Builder::new()
            .prefix(&format!("case {name} "))
            .tempdir()
            .expect("a temporary folder");
        // One test may run on several versions at once.
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let project = format!("case-test-{name}-{}-{number}", std::process::id());
        let site = Self {
            path: folder.path().join("bin"),
            docker_config: folder.path().join("docker"),
            project,
            folder,
            as_user: None,
            engine: None,
            _permit: permit,
        };
        site.copy_files();
        site.choose(composes);
        site.configure();
        site
    }

    fn copy_files(&self) {
        let options = fs_extra::dir::CopyOptions::new().copy_inside(true);
        for folder in ["docs", "infrastructure", "tests/images"] {
            let target = self.root().join(folder);
            fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
            fs_extra::dir::copy(root().join(folder), &target, &options).expect("a copy");
        }
        let _ = fs::remove_dir_all(self.root().join("infrastructure/.state"));
        for part in self.parts() {
            for entry in fs::read_dir(part.folder()).expect("the stack's folder").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_own = name.starts_with(".env") && name != EXAMPLE;
                if is_own || name.starts_with("docker-compose.override.") {
                    fs::remove_file(entry.path()).expect("the original's own files away");
                }
            }
        }
        self.forget_people();
    }

    /// No test tells those whom the original's notifications tell.
    fn forget_people(&self) {
        let folder = self.monitoring().folder().join("alertmanager");
        for entry in fs::read_dir(&folder).expect("AlertManager's folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("notifications.") && name.ends_with(".toml") {
                fs::remove_file(entry.path()).expect("the original's notifications away");
            }
        }
        let _ = fs::remove_dir_all(folder.join("secrets"));
    }

    /// Puts `composes` where xtask finds them, instead of those it found before.
    pub fn choose(&self, composes: &[Compose]) {
        let plugins = self.docker_config.join("cli-plugins");
        for folder in [&self.path, &plugins] {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder).expect("a folder");
        }
        for program in PROGRAMS {
            if let Some(found) = on_path(program) {
                symlink(found, self.path.join(program)).expect("a link");
            }
        }
        for compose in composes {
            let link = match compose {
                Compose::V1 => self.path.join("docker-compose"),
                Compose::V2(_) => plugins.join("docker-compose"),
            };
            symlink(compose.program(), link).expect("a link");
        }
    }

    fn configure(&self) {
        let names = |part: &Part<'_>| {
            [
                ("COMPOSE_PROJECT_NAME", part.project()),
                ("DATA_DIR", self.data().display().to_string()),
                ("METRICS_NETWORK", self.metrics_network()),
            ]
        };
        // Small, so that many may run at once.
        let sizes = [
            ("REDIS_MAX_MEMORY", "64mb"),
            ("REDIS_MEM_LIMIT", "128mb"),
            ("PROMETHEUS_RETENTION_SIZE", "1GB"),
            ("PROMETHEUS_MEM_LIMIT", "512m"),
        ];
        for part in self.parts() {
            let path = part.folder().join(EXAMPLE);
            let mut text = fs::read_to_string(&path).expect("the example");
            let ports: Vec<_> = text
                .lines()
                .filter_map(|line| Some(line.split_once("_PORT=")?.0.to_owned() + "_PORT"))
                .map(|name| (name, port().to_string()))
                .collect();
            let names = names(&part).map(|(name, value)| (name.to_owned(), value));
            let sizes = sizes.map(|(name, value)| (name.to_owned(), value.to_owned()));
            for (name, value) in names.into_iter().chain(ports).chain(sizes) {
                if text.contains(&format!("\n{name}=")) {
                    text = set(&text, &name, &value);
                }
            }
            fs::write(path, text).expect("the example");
        }
    }

    /// Runs on this offline image, such as `postgres:13`, instead of the usual one of its name;
    /// not where this run is on upstream images.
    #[must_use]
    pub fn on(self, image: &str) -> Self {
        if !Self::is_offline() {
            return self;
        }
        let (service, _) = image.split_once(':').expect("NAME:VERSION");
        let variable = format!("{}_IMAGE", service.replace('-', "_").to_uppercase());
        let has_it = |part: &Part<'_>| {
            let example = fs::read_to_string(part.folder().join(EXAMPLE)).expect("the example");
            example.contains(&format!("{variable}="))
        };
        let part = self.parts().into_iter().find(has_it).expect("a stack with that service");
        let path = part.folder().join(EXAMPLE);
        let text = fs::read_to_string(&path).expect("the example");
        let reference = format!("case-interview-offline/{image}");
        fs::write(path, set(&text, &variable, &reference)).expect("the example");
        self
    }

    /// Puts the shipped `.env.example` back, for checks that compare it.
    pub fn restore_example(&self) {
        for part in self.parts() {
            let shipped = root().join("infrastructure/docker").join(part.name()).join(EXAMPLE);
            fs::copy(shipped, part.folder().join(EXAMPLE)).expect("the example");
        }
    }

    /// Has commands run as this numeric user and group, as `setpriv` arguments.
    pub fn run_as(&mut self, uid: u32, docker_group: u32) {
        let folder = self.folder.path().to_owned();
        let status =
            Command::new("chown").args(["-R", &format!("{uid}:{uid}")]).arg(&folder).status();
        assert!(status.expect("chown runs").success());
        self.as_user = Some(format!("--reuid={uid} --regid={uid} --groups={docker_group}"));
    }

    /// Has commands use the engine at this address.
    pub fn use_engine(&mut self, address: String) {
        self.engine = Some(address);
    }

    /// The copy of the repository.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    /// The development stack.
    pub fn development(&self) -> Part<'_> {
        Part::new(self, "development")
    }

    /// The monitoring stack.
    pub fn monitoring(&self) -> Part<'_> {
        Part::new(self, "monitoring")
    }

    fn parts(&self) -> [Part<'_>; 2] {
        [self.development(), self.monitoring()]
    }

    /// The development stack's folder.
    pub fn folder(&self) -> PathBuf {
        self.development().folder()
    }

    /// Its `.env`.
    pub fn env_file(&self) -> PathBuf {
        self.development().env_file()
    }

    /// The data directory of both stacks.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The development stack's compose project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The network that both stacks share.
    pub fn metrics_network(&self) -> String {
        format!("{}-metrics", self.project)
    }

    /// A value of the development stack's `.env`.
    pub fn env(&self, name: &str) -> String {
        self.development().env(name)
    }

    /// Gives `name` a value there.
    pub fn set_env(&self, name: &str, value: &str) {
        self.development().set_env(name, value);
    }

    /// A port of it as a number.
    pub fn port(&self, name: &str) -> u16 {
        self.development().port(name)
    }

    /// Whether this run is on offline images.
    pub fn is_offline() -> bool {
        std::env::var("XTASK_TEST_IMAGES").as_deref() != Ok("upstream")
    }

    /// The image of this run for `service`: the offline one of this version, or `upstream`.
    pub fn offline_or(service: &str, version: &str, upstream: &str) -> String {
        if Self::is_offline() {
            format!("case-interview-offline/{service}:{version}")
        } else {
            upstream.to_owned()
        }
    }

    /// The words after `up dev` that choose the images of this run.
    pub fn images() -> &'static [&'static str] {
        if Self::is_offline() { &["--offline"] } else { &[] }
    }

    /// `cargo xtask` with these arguments, ready to be spawned.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.as_user {
            Some(user) => {
                let mut command = Command::new(on_path("setpriv").expect("setpriv is on the PATH"));
                command.args(user.split(' ')).arg(xtask());
                command
            }
            None => Command::new(xtask()),
        };
        command.args(args).current_dir(self.root());
        self.environment(&mut command);
        command
    }

    /// Gives `command` this site's programs and no others.
    pub fn environment(&self, command: &mut Command) {
        command
            .env("PATH", &self.path)
            .env("DOCKER_CONFIG", &self.docker_config)
            .env("HOME", self.folder.path())
            .env_remove("GITHUB_ACTIONS")
            .stdin(std::process::Stdio::null());
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
    }

    /// Runs `cargo xtask` with these arguments.
    pub fn xtask(&self, args: &[&str]) -> Run {
        let output = self.command(args).output().expect("xtask runs");
        Run::new(format!("cargo xtask {}", args.join(" ")), &output)
    }

    /// The same where no engine answers: whatever needs one says so at once.
    pub fn xtask_without_engine(&self, args: &[&str]) -> Run {
        let mut command = self.command(args);
        let output = command.env("DOCKER_HOST", "unix:///nowhere.sock").output();
        Run::new(format!("cargo xtask {}", args.join(" ")), &output.expect("xtask runs"))
    }

    /// Runs it once the lock is free, which what a killed run had started may hold for a moment.
    #[track_caller]
    pub fn once_free(&self, args: &[&str]) -> Run {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let run = self.xtask(args);
            if !run.stderr.contains("is at work") || Instant::now() > deadline {
                return run.succeeds();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Brings the stack up.
    pub fn up(&self) -> Run {
        self.xtask(&[&["up", "dev"], Self::images()].concat()).succeeds()
    }

    /// The URL of an endpoint by its variable, password and all.
    pub fn url(&self, variable: &str) -> String {
        let urls = self.xtask(&["urls", "dev", "--reveal", "--json"]).succeeds().json();
        let endpoints = urls["endpoints"].as_array().expect("endpoints");
        let found = endpoints.iter().find(|endpoint| endpoint["variable"] == variable);
        found.and_then(|endpoint| endpoint["url"].as_str()).expect("the endpoint").to_owned()
    }

    /// The image of a service as configured.
    pub fn image(&self, service: &str) -> String {
        let status = self.xtask(&["status", "dev", "--json"]).succeeds().json();
        let services = status["services"].as_array().expect("services");
        let found = services.iter().find(|line| line["service"] == service);
        found.and_then(|line| line["image"].as_str()).expect("the image").to_owned()
    }

    /// Names and ids of the development stack's containers.
    pub fn containers(&self) -> Vec<String> {
        self.development().containers()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.parts().iter().for_each(versions::record);
        self.parts().iter().for_each(Part::remove);
        docker(&["network", "rm", &self.metrics_network()]);
    }
}

/// What `docker` prints; for what tests look at and clean up.
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A port that no other test of this run gets, below those that the kernel hands out.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 20_000
            + (NEXT.fetch_add(1, Ordering::Relaxed) + (std::process::id() % 100) as u16 * 100)
                % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The path of a file below the repository's root, as a test sees it.
pub fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)
}
