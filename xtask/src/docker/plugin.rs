//! The Compose plugin that the `docker` client of this user finds.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use super::settings::{self, Settings};
use super::version::parse_version;
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
    let folder = settings::folder();
    let settings = folder.as_deref().and_then(Settings::load).unwrap_or_default();
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
