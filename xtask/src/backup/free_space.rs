//! Refusing to begin what would fill a disk.

use std::path::Path;

use anyhow::Result;

use crate::host::disk;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::report::units::Bytes;

/// What makes room on the disk of the backup folder.
pub fn on_the_backup_disk() -> Advice {
    Advice::from(format!("make room: {}", Xtask::BackupPrune))
        .or("choose another folder in infrastructure/backup.toml")
}

/// What is about to write, and what it needs.
#[derive(Debug)]
pub struct Need<'a> {
    /// The problem's id where there is too little.
    pub id: &'static str,
    /// In a sentence, before "needs about".
    pub who: &'a str,
    /// Bytes.
    pub bytes: u64,
    /// The way out.
    pub mend: Advice,
}

impl Need<'_> {
    /// Refuses when the disk of `path` has less.
    ///
    /// # Errors
    /// That problem; when the disk cannot be asked.
    pub fn fits(self, path: &Path) -> Result<()> {
        let space = disk::space(path)?;
        if space.available >= self.bytes {
            return Ok(());
        }
        let (at, left, needed) = (space.at.display(), Bytes(space.available), Bytes(self.bytes));
        let found = format!("{at} has {left} left, and {} needs about {needed}", self.who);
        Err(Problem::failed(self.id, found).mend(self.mend).into())
    }
}
