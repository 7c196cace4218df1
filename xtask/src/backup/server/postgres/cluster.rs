//! What a PostgreSQL held when it was backed up.

use serde::{Deserialize, Serialize};

use crate::postgres::name::Name;

/// What was in the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// Such as 14; another one cannot open the data.
    pub(super) major: u32,
    /// The superuser that asked.
    pub(super) user: String,
    /// What initdb gave the cluster.
    pub(super) system_identifier: String,
    /// Where its log stood when the backup began: everything committed by then is in it.
    pub(super) begin_lsn: String,
    /// Where the backup ended; a server restored from it has come at least so far.
    pub(super) end_lsn: String,
    /// `shared_preload_libraries`.
    pub(super) preload: String,
    /// The databases that can be connected to.
    pub(super) databases: Vec<Database>,
}

/// A database.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Database {
    /// Its name.
    pub(super) name: Name,
    /// Its permanent tables.
    pub(super) tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table {
    /// Schema and name, quoted as SQL wants it.
    pub(super) name: Name,
    /// On disk.
    pub(super) bytes: u64,
    /// The fewest and the most rows that a restored table can have, where they were counted.
    pub(super) rows: Option<(u64, u64)>,
    /// Why they were not; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uncounted: Option<Uncounted>,
}

/// Why the rows of a table were not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Uncounted {
    /// It is larger than `count_rows_below`.
    Large,
    /// Somebody held it locked, for which no backup waits.
    Locked,
    /// The server gave no answer.
    Failed,
}

impl Uncounted {
    /// Completes `3 tables`.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Large => "larger than count_rows_below",
            Self::Locked => "locked then",
            Self::Failed => "for which the server gave no number",
        }
    }
}
