//! What Grafana says of its data: at the backup into the manifest, and again at each drill.

use serde::{Deserialize, Serialize};

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Such as `9.5.0`.
    pub version: String,
    /// Dashboards that were made by hand: there before and after. Others come from files.
    pub dashboards: Vec<String>,
    /// Accounts, the fewest and the most that a restored server can have.
    pub users: (u64, u64),
    /// For how long it stood still, in milliseconds.
    pub paused_ms: u64,
}
