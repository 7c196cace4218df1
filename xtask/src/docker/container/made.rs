//! With what a container was made: values that it still has when the file that they came from is gone.
//! Passwords are among them, so it is not printed.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;

use super::super::api::Answers;
use super::{Mount, NetworkSettings};

/// Of a generated file, at most; bytes.
const LARGEST: usize = 64 << 10;
/// Of a tar archive.
const BLOCK: usize = 512;

/// With what a container was made.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Made {
    config: Config,
    host_config: HostConfig,
    #[serde(default)]
    mounts: Vec<Mount>,
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    image: String,
    #[serde(default)]
    env: Option<Vec<String>>,
    #[serde(default)]
    cmd: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    memory: u64,
    #[serde(default)]
    port_bindings: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

impl Made {
    /// The image's name.
    pub fn image(&self) -> &str {
        &self.config.image
    }

    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut all = self.config.env.iter().flatten();
        all.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// Its arguments.
    pub fn command(&self) -> &[String] {
        self.config.cmd.as_deref().unwrap_or_default()
    }

    /// Its published ports as a compose file writes them: `127.0.0.1:5432:5432`.
    pub fn ports(&self) -> Vec<String> {
        let all = self.host_config.port_bindings.iter().flatten();
        let written = all.flat_map(|(inside, bindings)| {
            let inside = inside.split('/').next().unwrap_or(inside);
            let text = move |one: &Binding| format!("{}:{}:{inside}", one.host_ip, one.host_port);
            bindings.iter().flatten().map(text)
        });
        written.collect()
    }

    /// The host's path of what is mounted at `target`.
    pub fn source(&self, target: &str) -> Option<&str> {
        let mount = self.mounts.iter().find(|mount| mount.destination == target)?;
        Some(&mount.source)
    }

    /// Bytes of memory; 0 for no limit.
    pub fn memory(&self) -> u64 {
        self.host_config.memory
    }

    /// The names of its networks.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        self.network_settings.networks.keys().map(String::as_str)
    }
}

/// With what the container with this id was made; `None` where it has gone.
///
/// # Errors
/// When the engine does not answer.
pub fn get(id: &str) -> Result<Option<Made>> {
    Answers::brief()?.get(&format!("/containers/{id}/json"))
}

/// The text of the small file at `path` inside, whether the container runs or not; `None` where there is
/// none.
///
/// # Errors
/// When the engine does not answer.
pub fn file(id: &str, path: &str) -> Result<Option<String>> {
    let mut engine = Answers::brief()?;
    let status = engine.ask(&format!("/containers/{id}/archive?path={path}"))?;
    let archive = engine.body()?;
    Ok((status == 200).then_some(()).and_then(|()| first_file(&archive)))
}

/// The first regular file of a tar archive.
fn first_file(mut archive: &[u8]) -> Option<String> {
    loop {
        let (header, rest) = archive.split_at_checked(BLOCK)?;
        let size = std::str::from_utf8(header.get(124..136)?).ok()?;
        let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).ok()?;
        if matches!(header.get(156)?, b'0' | 0) {
            let text = rest.get(..size).filter(|_| size <= LARGEST)?;
            return String::from_utf8(text.to_vec()).ok();
        }
        archive = rest.get(size.checked_next_multiple_of(BLOCK)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, text: &str) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        header[156] = kind;
        let padded = text.len().next_multiple_of(BLOCK);
        header.extend(text.bytes().chain(std::iter::repeat(0)).take(padded));
        header
    }

    #[test]
    fn the_first_file_of_an_archive_is_read_and_nothing_else() {
        let archive = [entry(b'x', "12 mtime=1\n"), entry(b'0', "password")].concat();
        assert_eq!(first_file(&archive).as_deref(), Some("password"));
        assert_eq!(first_file(&entry(b'2', "")), None);
        assert_eq!(first_file(&archive[..700]), None);
        crate::garble::garbled(&archive, &["77777777777", "x"], |bytes| drop(first_file(bytes)));
    }
}
