//! What archiving the logs of a service came to.

use serde::Serialize;

use super::day::ArchiveFile;

/// What was archived of one service.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// Entries archived now.
    pub entries: u64,
    /// Their size.
    pub bytes: u64,
    /// The size of the whole archive afterwards.
    pub archive_bytes: u64,
    /// Where lines may be missing, each a sentence.
    pub gaps: Vec<String>,
    /// Files removed for their age or for the size of the archive.
    pub removed: Vec<ArchiveFile>,
    /// What was wrong and was mended.
    pub warnings: Vec<String>,
}
