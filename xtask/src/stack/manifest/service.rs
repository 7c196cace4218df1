//! What `stacks.toml` says of one service.

use serde::{Deserialize, Deserializer};

use super::{Disk, LogBounds};
use crate::host::user::Owner;
use crate::report::advice::{On, Xtask};

/// One service of a stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name in the compose file.
    pub name: String,
    /// The image to use where no registry can be reached; where there is none, the pinned one.
    #[serde(default)]
    pub offline_image: Option<String>,
    /// What `shell` runs inside, through `sh -c`.
    pub shell: String,
    /// Its data directory.
    #[serde(default)]
    pub data: Option<DataDirectory>,
    /// What becomes of its log, where that is not what becomes of the stack's others.
    #[serde(default)]
    pub logs: Option<Archiving>,
    /// The variables of `.env` that are passwords.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// How it is backed up, by a name of `backup/server.rs`; not at all where left out.
    #[serde(default)]
    pub backup: Option<String>,
    /// What gives the running server the password on stdin, through `sh -c` inside.
    #[serde(default)]
    pub set_password: Option<String>,
    /// Accounts for others that are made in the running server.
    #[serde(default, rename = "account")]
    pub accounts: Vec<Account>,
    /// Files that are made for it alone, and mounted at `/etc/generated`.
    #[serde(default)]
    pub generated: Option<Generated>,
    /// Its configuration in the repository.
    #[serde(default)]
    pub configuration: Option<Configuration>,
    /// Under what it is reached.
    #[serde(default, rename = "endpoint")]
    pub endpoints: Vec<Endpoint>,
    /// What lines of its log mean.
    #[serde(default, rename = "explain")]
    pub explanations: Vec<Explanation>,
}

/// What `rotate-logs` does with the log of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Archiving {
    /// Nothing: it holds what should not be kept. The engine alone has it, within the bounds of the
    /// compose file.
    NotArchived,
    /// Archives it, and keeps it for so long.
    #[serde(untagged)]
    Kept(LogBounds),
}

impl Service {
    /// Whether `reference` is one of its offline images: the usual one or another version of it.
    pub fn is_offline_image(&self, reference: &str) -> bool {
        let repository = |text: &str| text.rsplit_once(':').map(|(name, _)| name.to_owned());
        let offline = self.offline_image.as_deref().and_then(repository);
        offline.is_some() && offline == repository(reference)
    }
}

/// An account that a running server gives to somebody else.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The variable of `.env` with its password.
    pub secret: String,
    /// What makes it or gives it the password on stdin, through `sh -c` inside the server.
    pub script: String,
}

/// Files below `DATA_DIR/generated/<service>`, which only the service may read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// The service's numeric user.
    #[serde(deserialize_with = "some_owner")]
    pub owner: Owner,
    /// Whether it reads them only when it starts.
    #[serde(default)]
    pub restart: bool,
    /// The folder below the stack's own with a `notifications.toml`: the service also gets
    /// `alertmanager.yml`, made of it, and the secrets that it names, in `secrets/`.
    #[serde(default)]
    pub notifications: Option<String>,
    /// The files.
    #[serde(rename = "file")]
    pub files: Vec<GeneratedFile>,
}

/// One generated file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedFile {
    /// Its name.
    pub name: String,
    /// The variable of `.env` with the password that the contents are about.
    #[serde(default)]
    pub secret: Option<String>,
    /// The text; `{plain}`, `{json}`, `{sha256}` and `{bcrypt}` are the password in that form.
    pub contents: String,
    /// The service that the contents are about: without its profile they are an empty list.
    #[serde(default)]
    pub about: Option<String>,
}

/// A folder of configuration that the service sees as it lies in the repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Below the stack's folder.
    pub folder: String,
    /// Where the service sees it.
    pub at: String,
    /// What refuses a broken one, through `sh -c` in the service's image.
    #[serde(default)]
    pub check: Option<String>,
    /// How the running service takes a changed one.
    pub load: Load,
}

/// How a running service takes a changed configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Load {
    /// On SIGHUP; whether and when it did, it says in its metrics
    /// `<metric>_successful` and `<metric>_success_timestamp_seconds`.
    Signal {
        /// What both names begin with.
        metric: String,
    },
    /// When a script inside, through `sh -c`, tells it to.
    Script {
        /// The variable of `.env` with the password that the script gets on stdin.
        secret: String,
        /// The script.
        script: String,
    },
    /// When it is restarted.
    Restart,
}

/// A directory below `DATA_DIR`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataDirectory {
    /// Its path below `DATA_DIR`.
    pub path: String,
    /// Its numeric owner; whoever runs `setup` where none is stated.
    #[serde(default, deserialize_with = "owner")]
    pub owner: Option<Owner>,
    /// Its mode.
    #[serde(deserialize_with = "mode")]
    pub mode: u32,
    /// How large it may become.
    #[serde(default)]
    pub quota: Option<Disk>,
    /// What keeps it below its quota, where something does; elsewhere it is only watched.
    #[serde(default)]
    pub enforced_by: Option<String>,
}

/// Under what a service is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// What it is for.
    pub name: String,
    /// Its URL; `${HOST}` is the address of the published ports, other variables are `.env`'s.
    /// The scheme decides how it is asked whether it answers.
    pub url: String,
    /// What else than an answer it takes to be ready.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// What is asked for to see whether it answers, where that is not the URL's own path.
    #[serde(default)]
    pub probe_path: Option<String>,
    /// The variable of `urls --export`.
    pub variable: String,
}

/// What must hold before a service counts as ready, beyond an answer.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Every rule is loaded, the stack's own targets are up, an AlertManager is known.
    Prometheus,
    /// A login succeeds, every dashboard is listed, every datasource answers.
    Grafana,
}

/// What a line of a service's log means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// Part of the line; capital letters do not matter.
    contains: String,
    /// What it means.
    pub means: String,
    /// What mends it; `{setup}` and `{up}` are the commands of those names.
    mend: String,
}

impl Explanation {
    /// Whether `log` has such a line.
    pub fn applies(&self, log: &str) -> bool {
        log.to_lowercase().contains(&self.contains.to_lowercase())
    }

    /// What mends it on a stack.
    pub fn mend(&self, on: &On) -> String {
        [("{setup}", Xtask::Setup(on.clone())), ("{up}", Xtask::Up(on.clone()))]
            .iter()
            .fold(self.mend.clone(), |text, (word, command)| {
                text.replace(word, &command.to_string())
            })
    }
}

fn owner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Owner>, D::Error> {
    some_owner(deserializer).map(Some)
}

fn some_owner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Owner, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        serde::de::Error::custom(format!("`{text}` is not an octal mode such as 0700"))
    })
}
