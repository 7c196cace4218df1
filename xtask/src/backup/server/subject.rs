//! A running server that is backed up, and what it gives.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::api::Api;
use super::{Client, Method};
use crate::backup::config::Config;
use crate::backup::set::{Content, DataRecord};
use crate::docker::container::Container;
use crate::docker::helper::Helper;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// A running service that is to be backed up.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its stack.
    pub stack: &'a Stack,
    /// Its entry in stacks.toml.
    pub service: &'a Service,
    /// Its container.
    pub container: &'a Container,
    /// How it is backed up.
    pub method: &'a Method,
    /// How backups are made.
    pub config: &'a Config,
    /// Whether dumps are wanted too.
    pub logical: bool,
}

impl<'a> Subject<'a> {
    /// The service's data directory, which its server sees at `place`.
    ///
    /// # Errors
    /// A problem when the server has another one there.
    pub(super) fn data(&self, place: &str) -> Result<PathBuf> {
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

    /// A helper on the server's own image.
    pub(super) fn helper(&self) -> Helper {
        Helper::new(&self.stack.project(), &self.container.image)
    }

    /// One that sees what the server sees at `place`, and can change nothing.
    pub(super) fn reader(&self, place: &str) -> Result<Helper> {
        self.helper().mount(&self.data(place)?, "/data:ro")
    }

    /// What asks it by `script` inside its container.
    pub(super) fn client(&self, script: &'static str) -> Client<'a> {
        Client { id: &self.container.id, script }
    }

    /// Its HTTP interface.
    pub(super) fn api(&self) -> Result<Api<'static>> {
        Api::of(self.stack, self.service)
    }

    /// What the manifest says of its data.
    pub(super) fn record(&self, version: String, details: &impl Serialize) -> Result<DataRecord> {
        DataRecord::new(self.method.name, version, details)
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
    /// What is done in the server before, for people; empty where nothing is.
    pub after: &'static str,
    /// What comes, in this order.
    pub parts: Vec<Part>,
}

impl Stream {
    /// A server's data: what `script` writes without arguments and input.
    pub(in crate::backup) fn data(
        helper: Helper,
        script: &'static str,
        after: &'static str,
        parts: Vec<Part>,
    ) -> Self {
        let (content, args, input) = (Content::Data, Vec::new(), None);
        Self { content, helper, script, args, input, after, parts }
    }

    /// The arguments with which the script writes `parts`, which are some of this stream's.
    pub fn args_for(&self, parts: &[&Part]) -> Vec<String> {
        let of_parts = parts.iter().flat_map(|part| part.args.iter());
        self.args.iter().chain(of_parts).cloned().collect()
    }
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
    /// The script's arguments for it.
    pub args: Vec<String>,
}

impl Part {
    /// One that changes from backup to backup, all that its script writes.
    pub fn new(name: &str, estimate: u64) -> Self {
        Self { name: name.to_owned(), estimate, key: None, args: Vec::new() }
    }
}
