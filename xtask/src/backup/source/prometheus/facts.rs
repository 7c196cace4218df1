//! What Prometheus says of its data: at the backup into the manifest, and again at each drill.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::checked;

/// Characters of a block's name.
const ULID: usize = 26;

checked! {
    /// A block's name, and its folder's.
    pub struct Ulid: "a ULID", |text| {
        text.len() == ULID && text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    }
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its name.
    pub ulid: Ulid,
    /// Its first sample, in milliseconds since 1970.
    pub min_time: i64,
    /// After its last sample, likewise.
    pub max_time: i64,
    /// Time series.
    #[serde(rename = "series")]
    pub series_stored: u64,
    /// Samples.
    pub samples: u64,
    /// On disk.
    #[serde(skip)]
    pub(super) bytes: u64,
    /// Of everything that tells it from another state of the same block.
    #[serde(skip)]
    pub(super) digest: String,
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Such as `2.45.0`.
    pub version: String,
    /// The blocks, the oldest first; the last is what was in memory.
    pub blocks: Vec<Block>,
    /// How many series had a sample at the end of some of the finished blocks, as the server answered.
    pub answers: BTreeMap<Ulid, u64>,
}
