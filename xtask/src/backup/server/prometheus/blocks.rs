//! Blocks as they lie on disk, and whether their data can be read.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::super::api::Api;
use super::super::{Client, Part};
use crate::host::digest::sha256;
use crate::names::checked;
use crate::stack::url::encode;

/// Ten minutes, in milliseconds.
const END: i64 = 10 * 60 * 1000;
/// Longest wait for a look at all blocks.
const ANSWER: Duration = Duration::from_secs(600);

/// Digests of what can still change in a finished block, sizes of the rest, then every `meta.json`.
/// Blocks may come and go meanwhile.
const LIST: &str = r#"
cd "$1"
set -- */meta.json
[ -e "$1" ] || exit 0
sha256sum */meta.json */tombstones 2>/dev/null || :
stat -c '%s  %n' */meta.json */tombstones */index */chunks/* 2>/dev/null || :
echo
cat */meta.json 2>/dev/null || :"#;

const HEAD: &str = r#"cd "$1"; set --; for part in wal chunks_head; do [ ! -d "$part" ] || set -- "$@" "$part"; done
[ $# -eq 0 ] || du -sk "$@""#;

/// Characters of a block's name.
const ULID: usize = 26;

checked! {
    /// A block's name, and its folder's.
    pub(super) struct Ulid: "a ULID", |text| {
        text.len() == ULID && text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    }
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) ulid: Ulid,
    /// Its first sample, in milliseconds since 1970.
    pub(super) min_time: i64,
    /// After its last sample, likewise.
    pub(super) max_time: i64,
    #[serde(rename = "series")]
    pub(super) series_stored: u64,
    pub(super) samples: u64,
    /// Bytes on disk; earlier versions did not note them.
    #[serde(default)]
    pub(super) bytes: u64,
    /// Of everything that tells it from another state of the same block.
    #[serde(skip)]
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    ulid: String,
    min_time: i64,
    max_time: i64,
    stats: Stats,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    #[serde(default)]
    num_samples: u64,
    #[serde(default)]
    num_series: u64,
}

#[derive(Deserialize)]
struct Query {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    value: (f64, String),
}

impl Block {
    /// What of it is stored. Deleting series changes a block under its name, hence the digest.
    pub(super) fn part(&self) -> Part {
        Part {
            key: Some(format!("{}:{}", self.ulid, self.digest)),
            args: vec![self.ulid.to_string()],
            ..Part::new(&format!("block-{}", self.ulid), self.bytes)
        }
    }

    /// How many series have a sample in its last ten minutes.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) fn series_at_end(&self, api: &Api) -> Result<u64> {
        self.series_within(api, END.min(self.max_time - self.min_time))
    }

    /// How many series have a sample in its time: reads every one of them.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) fn series(&self, api: &Api) -> Result<u64> {
        self.series_within(api, self.max_time - self.min_time)
    }

    /// The last sample is a millisecond before the block's end.
    fn series_within(&self, api: &Api, range: i64) -> Result<u64> {
        let last = self.max_time - 1;
        let range = (range - 1).max(1);
        let query = encode(&format!("count(last_over_time({{__name__!=\"\"}}[{range}ms]))"));
        let time = format!("{}.{:03}", last.div_euclid(1000), last.rem_euclid(1000));
        let answer: Query = api.json(&format!("/api/v1/query?query={query}&time={time}"))?;
        let value = answer.data.result.first().map_or("0", |sample| &sample.value.1);
        value.parse().with_context(|| format!("reading a count `{value}`"))
    }
}

/// The blocks in `folder` of `container`.
///
/// # Errors
/// When it cannot be looked at.
pub(super) fn list(container: &str, folder: &str) -> Result<Vec<Block>> {
    parse(&look(container, LIST, folder)?)
}

/// Bytes on disk of what is not in a block yet, in `folder` of `container`.
///
/// # Errors
/// When it cannot be looked at.
pub(super) fn size_of_head(container: &str, folder: &str) -> Result<u64> {
    let said = look(container, HEAD, folder)?;
    let kib = |line: &str| line.split_whitespace().next()?.parse::<u64>().ok();
    Ok(said.lines().filter_map(kib).sum::<u64>() << 10)
}

fn look(container: &str, script: &'static str, folder: &str) -> Result<String> {
    Client { id: container, script }.cmd(&[folder], "").time_limit(ANSWER).read()
}

fn parse(said: &str) -> Result<Vec<Block>> {
    let (files, metas) = said.split_once("\n\n").unwrap_or_default();
    let mut lines = BTreeMap::<&str, (u64, String)>::new();
    for line in files.lines() {
        let Some((value, path)) = line.split_once("  ") else { continue };
        let ulid = path.split('/').next().unwrap_or_default();
        let (bytes, text) = lines.entry(ulid).or_default();
        *bytes += value.parse::<u64>().unwrap_or(0);
        text.push_str(line);
        text.push('\n');
    }
    let mut blocks = Vec::new();
    for meta in serde_json::Deserializer::from_str(metas).into_iter::<Meta>() {
        let Meta { ulid, min_time, max_time, stats } = meta.context("reading a meta.json")?;
        // What is being made or removed has a longer name.
        let Ok(ulid) = Ulid::try_from(ulid) else { continue };
        let Some((bytes, text)) = lines.remove(&*ulid) else { continue };
        let digest = sha256(text.as_bytes());
        let (series_stored, samples) = (stats.num_series, stats.num_samples);
        blocks.push(Block { ulid, min_time, max_time, series_stored, samples, bytes, digest });
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "aa  01AAAAAAAAAAAAAAAAAAAAAAAA/meta.json
bb  01AAAAAAAAAAAAAAAAAAAAAAAA/tombstones
200  01AAAAAAAAAAAAAAAAAAAAAAAA/meta.json
9  01AAAAAAAAAAAAAAAAAAAAAAAA/tombstones
1000  01AAAAAAAAAAAAAAAAAAAAAAAA/chunks/000001

{\"ulid\": \"01AAAAAAAAAAAAAAAAAAAAAAAA\", \"minTime\": 1000, \"maxTime\": 2000,
 \"stats\": {\"numSamples\": 7, \"numSeries\": 2}}
{\"ulid\": \"01BBBBBBBBBBBBBBBBBBBBBBBB\", \"minTime\": 1, \"maxTime\": 2, \"stats\": {}}";

    #[test]
    fn a_block_is_known_by_what_can_still_change_in_it() {
        let blocks = parse(SAID).unwrap();
        let [block] = blocks.as_slice() else { panic!("{blocks:?}") };
        assert_eq!((block.series_stored, block.samples, block.bytes), (2, 7, 1209));
        let deleted = parse(&SAID.replace("bb  ", "cc  ")).unwrap();
        assert_eq!(deleted[0].ulid, block.ulid);
        assert_ne!(deleted[0].part().key, block.part().key, "series were deleted from it");
        assert!(parse("").unwrap().is_empty());
    }
}
