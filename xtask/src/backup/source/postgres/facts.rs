//! What PostgreSQL says of its data: at the backup into the manifest, and again at each drill.

use serde::{Deserialize, Serialize};

use crate::postgres::name::Name;

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Such as `14.1`.
    pub version: String,
    /// Such as 14; another one cannot open the data.
    pub major: u32,
    /// The superuser that asked.
    pub user: String,
    /// What initdb gave the cluster.
    pub system_identifier: String,
    /// Where its log stood when the backup began: everything committed by then is in it.
    pub begin_lsn: String,
    /// Where the backup ended; a server restored from it has come at least so far.
    pub end_lsn: String,
    /// `shared_preload_libraries`.
    pub preload: String,
    /// The databases that can be connected to.
    pub databases: Vec<Database>,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: Name,
    /// Its permanent tables.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Schema and name, quoted as SQL wants it.
    pub name: Name,
    /// On disk.
    pub bytes: u64,
    /// The fewest and the most rows that a restored table can have, where they were counted.
    pub rows: Option<(u64, u64)>,
}
