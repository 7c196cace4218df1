//! Prometheus: a snapshot, which it makes itself, one object a block. A finished block never
//! changes, so its object is shared by all sets that have it.

mod blocks;
pub mod facts;
mod questions;
pub mod snapshot;
pub mod snapshot_name;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use self::blocks::{list, size_of_head};
pub use self::facts::{Block, Facts, Ulid};
pub use self::questions::server;
use self::snapshot::Snapshot;
use super::api::Api;
use super::{Part, Source, Stream, Subject};
use crate::backup::set::Content;
use crate::docker::helper::Helper;
use crate::process::Output;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;

/// Where the container has its data.
const DATA: &str = "/prometheus";

/// One archive a block.
const COPY: &str = r#"cd "/data/$1"; shift; for block; do tar -c -f - "$block"; done"#;

/// The backup of one server.
pub struct Backup<'a> {
    subject: Subject<'a>,
    snapshot: Option<Snapshot<'a>>,
    blocks: Vec<Block>,
    answers: BTreeMap<Ulid, u64>,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Build {
    version: String,
}

impl<'a> Backup<'a> {
    /// Of this one.
    pub fn new(subject: Subject<'a>) -> Self {
        Self { subject, snapshot: None, blocks: Vec::new(), answers: BTreeMap::new() }
    }

    fn api(&self) -> Result<Api<'static>> {
        Api::of(self.subject.stack, self.subject.service)
    }

    /// Sees the data directory and can change nothing.
    fn helper(&self) -> Result<Helper> {
        let data = self.subject.data(DATA)?;
        let image = &self.subject.container.image;
        Helper::new(&self.subject.stack.project(), image).mount(&data, "/data:ro")
    }

    fn stream(&self, folder: &str, parts: Vec<Part>) -> Result<Stream> {
        Ok(Stream {
            content: Content::Data,
            helper: self.helper()?,
            script: COPY,
            args: vec![folder.to_owned()],
            input: None,
            parts,
        })
    }

    fn refuse_without_admin(&self, api: &Api) -> Result<()> {
        let flags: Answer<BTreeMap<String, String>> = api.json("/api/v1/status/flags")?;
        if flags.data.get("web.enable-admin-api").is_some_and(|value| value == "true") {
            return Ok(());
        }
        let found = "prometheus was started without docker-compose.overlay.yml: its admin interface, which makes snapshots, is off";
        Err(Problem::failed("backup.prometheus-admin", found)
            .mend(format!("start it with the overlay: {}", Xtask::Up(self.subject.stack.on())))
            .into())
    }
}

impl Source for Backup<'_> {
    fn streams(&self) -> Result<Vec<Stream>> {
        self.refuse_without_admin(&self.api()?)?;
        let container = &self.subject.container.id;
        let blocks = list(container, DATA)?;
        let mut parts: Vec<_> = blocks.iter().map(Block::part).collect();
        parts.push(Part::new("head", size_of_head(container, DATA)?));
        Ok(vec![self.stream(".", parts)?])
    }

    fn begin(&mut self, expected: Vec<Stream>) -> Result<Vec<Stream>> {
        let api = self.api()?;
        let snapshot = Snapshot::make(&self.subject, &api)?;
        let folder = snapshot.folder();
        self.snapshot = Some(snapshot);
        self.blocks = list(&self.subject.container.id, &format!("{DATA}/{folder}"))?;
        self.blocks.sort_by_key(|block| (block.max_time, block.min_time));
        ensure!(
            !self.blocks.is_empty(),
            "prometheus has no sample yet, so there is nothing to keep"
        );
        let finished: BTreeSet<_> =
            expected.iter().flat_map(|stream| &stream.parts).map(|part| &part.name).collect();
        let of_old = |block: &&Block| finished.contains(&block.part().name);
        let mut old = self.blocks.iter().filter(of_old);
        for block in [old.next(), old.next_back()].into_iter().flatten() {
            self.answers.insert(block.ulid.clone(), block.series_at_end(&api)?);
        }
        let parts = self.blocks.iter().map(Block::part).collect();
        Ok(vec![self.stream(&folder, parts)?])
    }

    fn finish(&mut self, _: &[Output]) -> Result<super::Facts> {
        if let Some(snapshot) = self.snapshot.take() {
            snapshot.remove().context("removing the snapshot")?;
        }
        let build: Answer<Build> = self.api()?.json("/api/v1/status/buildinfo")?;
        Ok(super::Facts::Prometheus(Facts {
            version: build.data.version,
            blocks: std::mem::take(&mut self.blocks),
            answers: std::mem::take(&mut self.answers),
        }))
    }
}
