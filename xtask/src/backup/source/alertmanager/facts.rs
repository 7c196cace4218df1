//! What AlertManager says of its data: at the backup into the manifest, and again at each drill.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Such as `0.25.0`.
    pub version: String,
    /// The silences in force or still to come when the backup began.
    pub silences: Vec<Silence>,
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// When it ends.
    #[serde(alias = "endsAt")]
    pub ends_at: Timestamp,
}
