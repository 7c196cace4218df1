//! Where objects come from: one module a method, named in stacks.toml for each service.
//!
//! A source knows its server: what makes its data consistent while it runs, what to ask it so that
//! a restore can be told from a good one, and how its data becomes a server again.

pub mod alertmanager;
mod api;
pub mod grafana;
pub mod postgres;
pub mod prometheus;
pub mod redis;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use self::api::Api;
use super::config::Config;
use super::facts::Facts;
use super::set::Content;
use crate::docker::container::Container;
use crate::docker::docker;
use crate::docker::helper::Helper;
use crate::process::{Cmd, Output};
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::stack::Stack;
use crate::stack::manifest::{BackupMethod, Service};

/// A running service that is to be backed up.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its stack.
    pub stack: &'a Stack,
    /// Its entry in stacks.toml.
    pub service: &'a Service,
    /// Its container.
    pub container: &'a Container,
    /// How backups are made.
    pub config: &'a Config,
    /// Whether dumps are wanted too.
    pub logical: bool,
}

impl Subject<'_> {
    /// The service's data directory, which its server sees at `place`.
    ///
    /// # Errors
    /// A problem when the server has another one there.
    fn data(&self, place: &str) -> Result<PathBuf> {
        let name = &self.service.name;
        let directory = self.service.data.as_ref();
        let ours = self.stack.data_path(directory.context("it has no data directory")?);
        let mounts = &self.container.mounts;
        let mount = mounts.iter().find(|mount| mount.destination == place.trim_end_matches('/'));
        if mount.is_some_and(|mount| ours.ends_with(mount.source.trim_start_matches('/'))) {
            return Ok(ours);
        }
        let found = format!("{name} keeps its data at {place}, which is not {}", ours.display());
        Err(Problem::failed("backup.other-data", found)
            .mend(format!("start it as the compose file says: {}", Xtask::Up(self.stack.on())))
            .into())
    }
}

/// Bytes that one helper writes, and that become an object a part.
#[derive(Debug)]
pub struct Stream {
    /// What kind they are.
    pub content: Content,
    /// The container that writes them.
    pub helper: Helper,
    /// What it runs; the bytes are its stdout, one archive a part.
    pub script: &'static str,
    /// The script's arguments; those of each part that is wanted come after them.
    pub args: Vec<String>,
    /// The script's stdin.
    pub input: Option<Vec<u8>>,
    /// What comes, in this order.
    pub parts: Vec<Part>,
}

/// What becomes one object.
#[derive(Debug)]
pub struct Part {
    /// What it holds, in the object's name.
    pub name: String,
    /// Bytes that will come, roughly.
    pub estimate: u64,
    /// Says what it is a copy of, where that never changes: an object that an earlier set has of
    /// it does as well.
    pub key: Option<String>,
    /// What the script is told of it.
    pub args: Vec<String>,
}

impl Part {
    /// One that changes from backup to backup, all that its script writes.
    pub fn new(name: &str, estimate: u64) -> Self {
        Self { name: name.to_owned(), estimate, key: None, args: Vec::new() }
    }
}

/// A server that is started on restored data alone, to finish it or to question it.
#[derive(Debug)]
pub struct Server {
    /// What runs, with the data directory at `/data`.
    pub script: &'static str,
    /// The script's arguments.
    pub args: Vec<String>,
    /// Options of `docker run`, each with its value.
    pub options: Vec<(&'static str, String)>,
    /// What asks it.
    pub client: &'static str,
}

/// How closely a restored server is questioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nobody else has changed it: everything is compared.
    Untouched,
    /// Its users are at work again: only what they cannot have changed.
    Live,
}

impl Facts {
    /// Why `image` could not open the data; `None` where it can.
    ///
    /// # Errors
    /// When the image cannot be asked.
    pub fn refused_by(&self, stack: &Stack, image: &str) -> Result<Option<Problem>> {
        match self {
            Self::Postgres(facts) => facts.refused_by(stack, image),
            _ => Ok(None),
        }
    }

    /// The server for restored data, with the settings of `service` where it runs by itself.
    ///
    /// # Errors
    /// When the compose file does not say with which.
    pub fn server(&self, stack: &Stack, service: &Service) -> Result<Server> {
        match self {
            Self::Postgres(facts) => facts.server(stack, service),
            Self::Redis(_) => Ok(redis::server()),
            Self::Prometheus(_) => Ok(prometheus::server()),
            Self::Alertmanager(_) => Ok(alertmanager::server()),
            Self::Grafana(_) => Ok(grafana::server()),
        }
    }

    /// Looks at unpacked data before a server opens it; `helper` sees it at `/data`. Nothing where
    /// only a server can tell.
    ///
    /// # Errors
    /// When the helper cannot run; damage is a finding.
    pub fn look_at_files(&self, helper: &Helper) -> Result<Option<Finding>> {
        match self {
            Self::Postgres(_) => postgres::verify_files(helper).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether it answers and has read its data.
    pub fn is_ready(&self, client: Client) -> bool {
        match self {
            Self::Postgres(_) => postgres::Server { client }.is_ready(),
            Self::Redis(_) => redis::Server { client }.is_ready(),
            Self::Prometheus(_) | Self::Alertmanager(_) => {
                Api::Inside(client).get("/-/ready").is_ok()
            }
            Self::Grafana(_) => Api::Inside(client).get("/api/org").is_ok(),
        }
    }

    /// Makes the restored data fit for today's `.env`.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn adapt(&self, stack: &Stack, service: &Service, client: Client) -> Result<()> {
        match self {
            Self::Postgres(_) => postgres::Server { client }.set_password(stack, service),
            Self::Redis(_) => redis::Server { client }.adapt(stack),
            Self::Grafana(_) => grafana::set_password(stack, service, client),
            // Theirs lie in files beside the data.
            Self::Prometheus(_) | Self::Alertmanager(_) => Ok(()),
        }
    }

    /// Reads everything that is there, which takes its time; nothing where opening it has done so.
    ///
    /// # Errors
    /// When the server cannot be asked; damage is a finding.
    pub fn look_through(&self, client: Client) -> Result<Option<Finding>> {
        match self {
            Self::Postgres(_) => postgres::Server { client }.check_tables().map(Some),
            Self::Redis(_) | Self::Alertmanager(_) => Ok(None),
            Self::Prometheus(facts) => facts.look_through(&Api::Inside(client)).map(Some),
            Self::Grafana(_) => grafana::look_through(client),
        }
    }

    /// Compares what a restored server says, which nobody else has changed, with this.
    ///
    /// # Errors
    /// When it does not answer; a difference is a finding.
    pub fn compare(&self, client: Client) -> Result<Vec<Finding>> {
        let api = Api::Inside(client);
        match self {
            Self::Postgres(facts) => facts.compare(&postgres::Server { client }, Scope::Untouched),
            Self::Redis(facts) => facts.compare(&redis::Server { client }),
            Self::Prometheus(facts) => facts.compare(&api),
            Self::Alertmanager(facts) => facts.compare(&api),
            Self::Grafana(facts) => facts.compare(&api),
        }
    }

    /// Compares what the stack's own server says, whose users are at work again, with this.
    ///
    /// # Errors
    /// As [`Facts::compare`].
    pub fn prove(&self, stack: &Stack, service: &Service, id: &str) -> Result<Vec<Finding>> {
        let client = Client { id, script: self.server(stack, service)?.client };
        match self {
            Self::Postgres(facts) => facts.compare(&postgres::Server { client }, Scope::Live),
            Self::Redis(_) => Ok(Vec::new()),
            Self::Prometheus(facts) => facts.prove(&Api::of(stack, service)?),
            Self::Alertmanager(facts) => facts.compare(&Api::of(stack, service)?),
            Self::Grafana(facts) => facts.compare(&Api::of(stack, service)?),
        }
    }
}

/// The backup of one service: asked for its streams, begun, streamed, finished.
pub trait Source {
    /// What will be streamed. Changes nothing.
    ///
    /// # Errors
    /// When the server does not answer, or has data that this method would not get.
    fn streams(&self) -> Result<Vec<Stream>>;

    /// Makes the data ready to be streamed, and notes what is there. Gives back what will be
    /// streamed, of which `expected` was the outlook.
    ///
    /// # Errors
    /// When the server refuses.
    fn begin(&mut self, expected: Vec<Stream>) -> Result<Vec<Stream>>;

    /// Notes what is there now. `said` holds what each stream's helper wrote beside the data.
    ///
    /// # Errors
    /// When the server refuses.
    fn finish(&mut self, said: &[Output]) -> Result<Facts>;
}

/// The source for the service's method.
pub fn open<'a>(subject: Subject<'a>, method: BackupMethod) -> Box<dyn Source + 'a> {
    match method {
        BackupMethod::Postgres => Box::new(postgres::Backup::new(subject)),
        BackupMethod::Redis => Box::new(redis::Backup::new(subject)),
        BackupMethod::Prometheus => Box::new(prometheus::Backup::new(subject)),
        BackupMethod::Alertmanager => Box::new(alertmanager::Backup::new(subject)),
        BackupMethod::Grafana => Box::new(grafana::Backup::new(subject)),
    }
}

/// A way to ask a server: its own client, inside its container.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The container.
    pub id: &'a str,
    /// What the shell inside runs; `"$@"` are the arguments.
    pub script: &'static str,
}

impl Client<'_> {
    /// The command that asks, with `input` on its stdin.
    pub fn cmd(&self, args: &[&str], input: &str) -> Cmd {
        docker()
            .args(["exec", "--interactive", self.id, "sh", "-euc", self.script, "sh"])
            .args(args)
            .stdin(input)
    }

    /// What it answers.
    ///
    /// # Errors
    /// When it ends with another status than 0.
    pub fn ask(&self, args: &[&str], input: &str) -> Result<String> {
        self.cmd(args, input).read()
    }
}
