//! Prometheus: a snapshot, which it makes itself, one object a block. A finished block never
//! changes, so its object is shared by all sets that have it.

mod blocks;
mod questions;
mod retention;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::blocks::{Block, Ulid, list, size_of_head};
use self::snapshot::Snapshot;
use super::api::Api;
use super::{Alone, Begun, Client, Part, Server, Stream, Subject};
use crate::backup::undo_log::Step;
use crate::plan::Plan;
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Where the container has its data.
const DATA: &str = "/prometheus";

/// One archive a block.
const COPY: &str = r#"cd "/data/$1"; shift; for block; do tar -c -f - "$block"; done"#;

/// What it had stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Blocks {
    /// The oldest first; the last is what was in memory.
    blocks: Vec<Block>,
    /// How many series had a sample at the end of some of the finished blocks, as the server answered.
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

impl Server for Blocks {
    fn streams(subject: &Subject<'_>) -> Result<Vec<Stream>> {
        refuse_without_admin(subject)?;
        let container = &subject.container.id;
        let mut parts: Vec<_> = list(container, DATA)?.iter().map(Block::part).collect();
        parts.push(Part::new("head", size_of_head(container, DATA)?));
        Ok(vec![stream(subject, ".", parts)?])
    }

    fn begin(subject: Subject<'_>, expected: Vec<Stream>) -> Result<Begun<'_>> {
        let api = subject.api()?;
        let snapshot = Snapshot::make(&subject, &api)?;
        let folder = snapshot.folder();
        let mut blocks = list(&subject.container.id, &format!("{DATA}/{folder}"))?;
        blocks.sort_by_key(|block| (block.max_time, block.min_time));
        ensure!(!blocks.is_empty(), "prometheus has no sample yet, so there is nothing to keep");
        let finished: BTreeSet<_> =
            expected.iter().flat_map(|stream| &stream.parts).map(|part| &part.name).collect();
        let of_old = |block: &&Block| finished.contains(&block.part().name);
        let mut old = blocks.iter().filter(of_old);
        let (mut answers, mut missing) = (BTreeMap::new(), BTreeMap::new());
        for block in [old.next(), old.next_back()].into_iter().flatten() {
            match block.series_at_end(&api) {
                Ok(series) => {
                    answers.insert(block.ulid.clone(), series);
                }
                // The others are worth a backup, where the server answers otherwise.
                Err(error) if blocks.len() > 1 && api.get("/-/ready").is_ok() => {
                    missing.insert(block.ulid.clone(), unreadable(&subject, block, &error)?);
                }
                Err(error) => return Err(error),
            }
        }
        blocks.retain(|block| !missing.contains_key(&block.ulid));
        let streams = vec![stream(&subject, &folder, blocks.iter().map(Block::part).collect())?];
        let finish = move |_: &[_]| {
            snapshot.remove().context("removing the snapshot")?;
            let build: Answer<Build> = api.json("/api/v1/status/buildinfo")?;
            let record = subject.record(build.data.version, &Self { blocks, answers })?;
            Ok(record.without(missing.into_values().collect()))
        };
        Ok((streams, Box::new(finish)))
    }

    fn take_back(stack: &Stack, step: &Step) -> Result<Option<Plan>> {
        snapshot::take_back(stack, step)
    }

    fn refuse(&self, stack: &Stack, _: &str) -> Result<()> {
        let service = stack
            .definition
            .services
            .iter()
            .find(|one| one.backup.as_deref() == Some("prometheus"));
        let service = service.context("stacks.toml has no prometheus")?;
        self.refuse_shorter_retention(stack, &stack.command(service)?)
    }

    fn alone(&self, _: &Stack, _: &Service) -> Result<Alone> {
        Ok(questions::alone())
    }

    fn is_ready(&self, client: Client<'_>) -> bool {
        Api::Inside(client).get("/-/ready").is_ok()
    }

    fn compare(&self, client: Client<'_>) -> Result<Vec<Finding>> {
        self.compare_with(&Api::Inside(client))
    }

    fn look_through(&self, client: Client<'_>) -> Result<Vec<Finding>> {
        Ok(vec![self.read_all(&Api::Inside(client))?])
    }

    fn prove(&self, stack: &Stack, service: &Service, _: &str) -> Result<Vec<Finding>> {
        self.ask_newest(&Api::of(stack, service)?)
    }
}

/// What is said of a block that is left out.
fn unreadable(subject: &Subject<'_>, block: &Block, error: &anyhow::Error) -> Result<String> {
    let path = subject.data(DATA)?.join(&block.ulid);
    let [from, to] = [block.min_time, block.max_time]
        .map(|at| Timestamp::from_millisecond(at).unwrap_or_default());
    Ok(format!(
        "block {} ({from:.0} to {to:.0}), which prometheus cannot read: {error:#}; to mend it, stop prometheus and move {} away, or put it back from an earlier set (restore --to DIR)",
        block.ulid,
        path.display()
    ))
}

fn stream(subject: &Subject<'_>, folder: &str, parts: Vec<Part>) -> Result<Stream> {
    let snapshot = "from a snapshot that is removed afterwards";
    let stream = Stream::data(subject.reader(DATA)?, COPY, snapshot, parts);
    Ok(Stream { args: vec![folder.to_owned()], ..stream })
}

fn refuse_without_admin(subject: &Subject<'_>) -> Result<()> {
    let flags: Answer<BTreeMap<String, String>> = subject.api()?.json("/api/v1/status/flags")?;
    if flags.data.get("web.enable-admin-api").is_some_and(|value| value == "true") {
        return Ok(());
    }
    let found = "prometheus was started without docker-compose.overlay.yml: its admin interface, which makes snapshots, is off";
    Err(Problem::failed("backup.prometheus-admin", found)
        .mend(format!("start it with the overlay: {}", Xtask::Up(subject.stack.on())))
        .into())
}
