//! What a Compose itself reads in an env file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{ANSWER, Compose, base};
use crate::host::files::write_atomically;

#[derive(Deserialize)]
struct Config {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    labels: BTreeMap<String, String>,
}

impl Compose {
    /// The values that it reads in `env_file` for `names`; one that it reads nothing for is empty.
    ///
    /// # Errors
    /// When it refuses the file.
    pub fn variables(&self, env_file: &Path, names: &[&str]) -> Result<BTreeMap<String, String>> {
        let labels: String =
            names.iter().map(|name| format!("      {name}: \"${{{name}}}\"\n")).collect();
        let folder = tempfile::tempdir().context("making a folder for a compose file")?;
        let file = folder.path().join("docker-compose.yml");
        let text = format!("services:\n  reader:\n    image: none\n    labels:\n{labels}");
        write_atomically(&file, text.as_bytes(), 0o600).context("writing a compose file")?;
        let mut cmd = base(self.call)
            .args(["--project-name", "reader", "--file"])
            .arg(&file)
            .arg("--env-file")
            .arg(env_file)
            .arg("config")
            .time_limit(ANSWER);
        for name in names {
            // It would take the place of the file's.
            cmd = cmd.without_env(name);
        }
        let mut config: Config = yaml_serde::from_str(&cmd.read()?)
            .with_context(|| format!("reading what {self} says of {}", env_file.display()))?;
        let labels = config.services.remove("reader").map(|reader| reader.labels);
        // `config` doubles dollars, so that its output could be read again.
        let single = |value: String| value.replace("$$", "$");
        Ok(labels.into_iter().flatten().map(|(name, value)| (name, single(value))).collect())
    }
}
