//! The `docker` client of this user: its settings, and the Compose plugin that it finds.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use super::engine::parse_version;
use super::{ANSWER, docker};
use crate::process::{Cmd, find};

/// Where it looks for plugins, whatever its settings say
/// (docs.docker.com, "Docker Engine managed plugin system", CLI plugins).
pub const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// What is read of its `config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    current_context: String,
    cli_plugins_extra_dirs: Vec<PathBuf>,
}

/// An environment variable that is not empty.
pub(super) fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the client certainly uses the context that needs no asking; starting it to ask takes
/// longer than all that the engine then answers.
pub(super) fn has_default_context() -> bool {
    if let Some(context) = set("DOCKER_CONTEXT") {
        return context == "default";
    }
    let settings = folder().and_then(|folder| settings(&folder));
    settings.is_some_and(|Settings { current_context: context, .. }| {
        context.is_empty() || context == "default"
    })
}

/// The version of the Compose plugin, if there is one; asked once.
pub(super) fn compose_plugin() -> Option<&'static semver::Version> {
    static FOUND: OnceLock<Option<semver::Version>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            find("docker").ok()?;
            plugin_files().iter().find_map(|file| stated_version(file)).or_else(asked_version)
        })
        .as_ref()
}

/// Where the plugin may be, in the client's order.
fn plugin_files() -> Vec<PathBuf> {
    let folder = folder();
    let settings = folder.as_deref().and_then(settings).unwrap_or_default();
    let own = folder.map(|folder| folder.join("cli-plugins"));
    let of_system = PLUGIN_FOLDERS.iter().map(PathBuf::from);
    let folders = settings.cli_plugins_extra_dirs.into_iter().chain(own).chain(of_system);
    folders.map(|folder| folder.join("docker-compose")).filter(|file| file.is_file()).collect()
}

/// What a plugin says of itself to the client, which then need not be started.
fn stated_version(file: &Path) -> Option<semver::Version> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Metadata {
        version: String,
    }
    let plugin = Cmd::new(file.to_str()?).args(["docker-cli-plugin-metadata"]);
    let metadata = plugin.time_limit(ANSWER).read().ok()?;
    let Metadata { version } = serde_json::from_str(&metadata).ok()?;
    parse_version(&version).ok()
}

/// Of a plugin that lies where only the client knows. Without one, the client fails or prints its
/// own help.
fn asked_version() -> Option<semver::Version> {
    let said = docker().args(["compose", "version", "--short"]).output().ok()?;
    said.success().then(|| parse_version(&said.stdout).ok())?
}

/// `None` where they are there and cannot be read.
fn settings(folder: &Path) -> Option<Settings> {
    match std::fs::read(folder.join("config.json")) {
        Ok(text) => serde_json::from_slice(&text).ok(),
        Err(error) => (error.kind() == ErrorKind::NotFound).then(Settings::default),
    }
}

fn folder() -> Option<PathBuf> {
    let at_home = || Some(std::env::home_dir()?.join(".docker"));
    set("DOCKER_CONFIG").map(PathBuf::from).or_else(at_home)
}
