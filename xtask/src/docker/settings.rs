//! The settings of the `docker` client of this user, which xtask follows.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::host::followed;
use serde::Deserialize;

/// What is read of its `config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Settings {
    pub(super) current_context: String,
    pub(super) cli_plugins_extra_dirs: Vec<PathBuf>,
}

impl Settings {
    /// Reads them from the client's `folder`; `None` where they are there and cannot be read.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        match followed::bytes(folder.join("config.json")) {
            Ok(text) => serde_json::from_slice(&text).ok(),
            Err(error) => (error.kind() == ErrorKind::NotFound).then(Self::default),
        }
    }
}

/// The folder with the client's settings and plugins.
pub(super) fn folder() -> Option<PathBuf> {
    let at_home = || Some(std::env::home_dir()?.join(".docker"));
    variable("DOCKER_CONFIG").map(PathBuf::from).or_else(at_home)
}

/// An environment variable that is not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
