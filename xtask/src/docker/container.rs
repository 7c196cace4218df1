//! Containers as the engine sees them.

mod health;
pub mod made;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use serde::Deserialize;

use self::health::{Health, HealthCheck};
use super::api::Answers;
use crate::host::ports::overlap;
use crate::process::{Cmd, check_interrupted};

/// The label with which both Composes mark what belongs to a project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Until a server that does not stop is killed; the compose files' `stop_grace_period`.
const STOP_SECONDS: &str = "60";
const SERVICE: &str = "com.docker.compose.service";
const COMPOSE_VERSION: &str = "com.docker.compose.version";
const FOLDER: &str = "com.docker.compose.project.working_dir";
const CONFIG_HASH: &str = "com.docker.compose.config-hash";

/// What the engine says of a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// Its full id.
    pub id: String,
    /// Its name, with the engine's leading slash.
    name: String,
    /// The id of its image.
    pub image: String,
    /// What it does.
    pub state: State,
    /// How often the engine has restarted it.
    #[serde(default)]
    pub restart_count: i64,
    /// How it was made.
    pub config: Config,
    /// Its limits.
    pub host_config: HostConfig,
    /// What is mounted.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Its published ports.
    pub network_settings: NetworkSettings,
}

/// What a container does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    /// `running`, `exited`, `restarting`, `created`, `paused`, `dead`.
    pub status: String,
    /// RFC 3339.
    pub started_at: String,
    /// Of the last run.
    pub exit_code: i64,
    /// Whether the kernel stopped it for its memory.
    #[serde(rename = "OOMKilled", default)]
    pub oom_killed: bool,
    #[serde(default)]
    health: Option<Health>,
}

/// How a container was made.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// The image reference it was made from.
    pub image: String,
    /// Whether its process has a terminal, which makes one stream of two.
    #[serde(rename = "Tty", default)]
    pub has_terminal: bool,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    healthcheck: Option<HealthCheck>,
    /// What it runs.
    pub cmd: Option<Vec<String>>,
    /// `NAME=value`, secrets among them.
    pub env: Option<Vec<String>>,
}

/// A container's limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostConfig {
    /// Bytes; 0 for none.
    #[serde(default)]
    pub memory: u64,
    /// Relative weight; 0 for the usual 1024.
    #[serde(default)]
    pub cpu_shares: u64,
    /// Whether nothing can be written but to mounts.
    #[serde(default)]
    pub readonly_rootfs: bool,
    /// What keeps its log.
    #[serde(default)]
    pub log_config: LogConfig,
}

/// What keeps a container's log.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogConfig {
    /// The logging driver, such as `json-file`.
    #[serde(rename = "Type", default)]
    pub driver: String,
    /// Its options, such as `max-size`.
    #[serde(rename = "Config", default)]
    pub options: BTreeMap<String, String>,
}

/// A mount.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mount {
    /// Path on the host.
    #[serde(default)]
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// Whether the container may write there.
    #[serde(rename = "RW", default)]
    pub writable: bool,
}

/// A container's network.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkSettings {
    #[serde(default)]
    ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
    #[serde(default)]
    networks: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_ip: String,
    host_port: String,
}

impl Container {
    /// Its name.
    pub fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// The service that it runs, where a Compose made it.
    pub fn service(&self) -> Option<&str> {
        self.label(SERVICE)
    }

    /// The project that it belongs to, where a Compose made it.
    pub fn project(&self) -> Option<&str> {
        self.label(PROJECT)
    }

    /// The folder of the compose file it was made from.
    pub fn compose_folder(&self) -> Option<&str> {
        self.label(FOLDER)
    }

    /// The version of the Compose that made it.
    pub fn compose_version(&self) -> Option<&str> {
        self.label(COMPOSE_VERSION)
    }

    /// Compose's digest of the configuration that it was made with.
    pub fn config_hash(&self) -> Option<&str> {
        self.label(CONFIG_HASH)
    }

    /// The project whose helper it is, if it is one.
    pub fn helper_of(&self) -> Option<&str> {
        self.label(super::labels::HELPER)
    }

    /// Whether it runs and holds `port` on `address`.
    pub fn publishes(&self, address: IpAddr, port: u16) -> bool {
        let bindings =
            self.network_settings.ports.iter().flat_map(BTreeMap::values).flatten().flatten();
        bindings.filter(|binding| binding.host_port.parse() == Ok(port)).any(|binding| {
            // An empty address is every address.
            binding.host_ip.parse().map_or(true, |bound| overlap(bound, address))
        })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether the engine packs the older parts of its log (docs.docker.com, "Local file logging
    /// driver", "JSON File logging driver": `compress`).
    pub fn packs_log(&self) -> bool {
        let LogConfig { driver, options } = &self.host_config.log_config;
        let is_local = driver == "local";
        options.get("compress").map_or(is_local, |compress| compress == "true")
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.state.status == "running"
    }

    /// When it was last started; `None` where it never was.
    pub fn started_at(&self) -> Option<SystemTime> {
        let started: jiff::Timestamp = self.state.started_at.parse().ok()?;
        // The engine's word for never is the year 1.
        (started > jiff::Timestamp::UNIX_EPOCH).then(|| started.into())
    }

    /// Whether it has ever been connected to the network called `name` and still would be when it
    /// is started.
    pub fn is_on(&self, name: &str) -> bool {
        self.network_settings.networks.contains_key(name)
    }

    /// For how long it has been running.
    pub fn uptime(&self) -> Option<Duration> {
        self.started_at()?.elapsed().ok().filter(|_| self.is_running())
    }

    /// The ports that it has on the host, without doubles for IPv6.
    pub fn host_ports(&self) -> Vec<u16> {
        let bindings =
            self.network_settings.ports.iter().flat_map(BTreeMap::values).flatten().flatten();
        let mut ports: Vec<_> =
            bindings.filter_map(|binding| binding.host_port.parse().ok()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// Every container of `project`, running or not, in the order of their names.
///
/// # Errors
/// When the engine does not answer.
pub fn of_project(project: &str) -> Result<Vec<Container>> {
    list(|summary| summary.has(PROJECT, project))
}

/// The names of the containers of `project`, running or not, on the engine at this socket.
///
/// # Errors
/// When it does not answer.
pub fn names_at(socket: &Path, project: &str) -> Result<Vec<String>> {
    let all = summaries(&mut Answers::brief_at(socket)?)?;
    let its = all.into_iter().filter(|one| one.has(PROJECT, project));
    Ok(its.flat_map(|one| one.names).map(|name| name.trim_start_matches('/').to_owned()).collect())
}

/// Every container on the image with this id.
///
/// # Errors
/// When the engine does not answer.
pub fn on_image(id: &str) -> Result<Vec<Container>> {
    list(|summary| summary.image == id)
}

/// The container among `containers` that runs `service`.
pub fn running<'a>(containers: &'a [Container], service: &str) -> Option<&'a Container> {
    let runs =
        |container: &&Container| container.is_running() && container.service() == Some(service);
    containers.iter().find(runs)
}

/// The container with this id; `None` where it has gone.
///
/// # Errors
/// When the engine does not answer.
pub fn get(id: &str) -> Result<Option<Container>> {
    Answers::brief()?.get(&format!("/containers/{id}/json"))
}

/// Every container on the engine.
///
/// # Errors
/// When the engine does not answer.
pub fn all() -> Result<Vec<Container>> {
    list(|_| true)
}

/// What stops and removes `containers`, each with the words for it. Their data lies elsewhere.
pub fn removal(containers: &[&Container]) -> Vec<(String, Cmd)> {
    if containers.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = containers.iter().map(|container| container.name()).collect();
    let names = names.join(", ");
    let ids = || containers.iter().map(|container| container.id.get(..12).unwrap_or(&container.id));
    vec![
        (
            format!("stop {names}"),
            Cmd::new("docker").args(["stop", "-t", STOP_SECONDS]).args(ids()),
        ),
        (
            format!("remove {names}"),
            Cmd::new("docker").args(["rm", "--force", "--volumes"]).args(ids()),
        ),
    ]
}

/// Waits until the engine has removed the containers of `project` that a killed run has told it to
/// remove: until then it neither removes nor starts them.
///
/// # Errors
/// When it does not answer, or is still at it after `limit`.
pub fn wait_for_removals(project: &str, limit: Duration) -> Result<()> {
    let started = Instant::now();
    loop {
        let all = summaries(&mut Answers::brief()?)?;
        let is_going = |one: &&Summary| one.state == "removing" && one.has(PROJECT, project);
        let ids: Vec<_> = all.iter().filter(is_going).map(Summary::short_id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        ensure!(
            started.elapsed() < limit,
            "the engine does not get these containers removed: {}",
            ids.join(", ")
        );
        check_interrupted()?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The command that tells `containers` to read their configuration anew.
pub fn hang_up(containers: &[&Container]) -> Cmd {
    let ids = containers.iter().map(|container| container.id.as_str());
    Cmd::new("docker").args(["kill", "--signal", "HUP"]).args(ids)
}

/// The command that restarts `containers`.
pub fn restart(containers: &[&Container]) -> Cmd {
    let ids = containers.iter().map(|container| container.id.as_str());
    Cmd::new("docker").args(["restart", "-t", STOP_SECONDS]).args(ids)
}

/// What the engine's list says of a container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    id: String,
    #[serde(rename = "ImageID")]
    image: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    state: String,
}

impl Summary {
    fn has(&self, label: &str, value: &str) -> bool {
        self.labels.iter().flatten().any(|(name, of)| name == label && of == value)
    }

    fn short_id(&self) -> String {
        self.id.get(..12).unwrap_or(&self.id).to_owned()
    }
}

/// The ids of the containers with this label.
///
/// # Errors
/// When the engine does not answer.
pub(super) fn labelled(label: &str, value: &str) -> Result<Vec<String>> {
    let all = summaries(&mut Answers::brief()?)?;
    Ok(all.iter().filter(|one| one.has(label, value)).map(Summary::short_id).collect())
}

fn summaries(engine: &mut Answers) -> Result<Vec<Summary>> {
    Ok(engine.get("/containers/json?all=1")?.unwrap_or_default())
}

fn list(is_wanted: impl Fn(&Summary) -> bool) -> Result<Vec<Container>> {
    let mut engine = Answers::brief()?;
    let all = summaries(&mut engine)?;
    let mut containers = Vec::new();
    for summary in all.iter().filter(|summary| is_wanted(summary)) {
        // It may have vanished since.
        containers.extend(engine.get::<Container>(&format!("/containers/{}/json", summary.id))?);
    }
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(containers)
}
