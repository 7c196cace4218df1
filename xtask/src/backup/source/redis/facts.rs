//! What Redis says of its data: at the backup into the manifest, and again at each drill.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Such as `6.2.5`.
    pub version: String,
    /// Keys in each database, just before and just after; expired ones may be among them.
    pub keys: BTreeMap<String, (u64, u64)>,
    /// Of those, keys that will expire.
    pub expiring: u64,
}
