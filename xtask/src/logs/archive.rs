//! The archive of one service: files that only grow, and the cursor that says how far they count.
//!
//! A run appends frames, syncs them, and then replaces the cursor. Whatever ends it, what the
//! cursor knows is whole, and the next run cuts off what the cursor does not know.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cursor::{Cursor, Position};
use super::day::{ArchiveFile, Day};
use super::frame::Place;
use super::stored::{CURSOR, explain, frames, load, open};
use crate::host::files::{
    create_new, make_folder, open_to_write, remove, rename, write_atomically,
};
use crate::report::units::Bytes;
use crate::stack::manifest::LogBounds;

/// A day's file that has reached this part of the whole bound is continued in another, so that
/// keeping the bound never costs more than this part.
const PARTS: u64 = 8;

/// An archive that is being written. Only for the holder of its lock.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    /// As it is on disk.
    committed: Cursor,
    /// As the next commit writes it.
    next: Cursor,
    /// Files written since the last commit.
    open: BTreeMap<ArchiveFile, File>,
    /// The size at which a file is continued in another.
    largest_file: u64,
    /// What was wrong with it and was mended.
    pub warnings: Vec<String>,
}

impl Archive {
    /// Opens the archive in `folder`, made if missing, and cuts off what a killed run has left.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn open(folder: &Path, bounds: &LogBounds) -> Result<Self> {
        make_folder(folder, 0o700).map_err(|error| explain(error, folder))?;
        let mut archive = Self {
            folder: folder.to_owned(),
            committed: Cursor::default(),
            next: Cursor::default(),
            open: BTreeMap::new(),
            largest_file: (bounds.size.0 / PARTS).max(1),
            warnings: Vec::new(),
        };
        let (cursor, warning) = load(folder)?;
        archive.committed = cursor;
        archive.warnings.extend(warning);
        archive.roll_back()?;
        Ok(archive)
    }

    /// How far the container's log was archived.
    pub fn position(&self, container: &str) -> Option<&Position> {
        self.next.containers.get(container)
    }

    /// The containers of which something was archived, by id.
    pub fn containers(&self) -> impl Iterator<Item = (&String, &Position)> {
        self.next.containers.iter()
    }

    /// Forgets a container that is no longer there, with the next commit.
    pub fn forget(&mut self, container: &str) {
        self.next.containers.remove(container);
    }

    /// Counts a gap, with the next commit.
    pub fn count_gap(&mut self) {
        self.next.gaps += 1;
    }

    /// Adds a frame to the file of `day`; it does not count before [`Archive::commit`].
    ///
    /// # Errors
    /// `logs.disk-full`, or what else went wrong.
    pub fn append(&mut self, day: &Day, frame: &[u8]) -> Result<()> {
        let name = self.file_for(day)?;
        let path = self.folder.join(&name);
        let length = self.next.files.get(&name).copied().unwrap_or(0);
        if !self.open.contains_key(&name) {
            let file = open_to_write(&path).map_err(|error| explain(error, &path))?;
            self.open.insert(name.clone(), file);
        }
        let file = self.open.get(&name).context("opening the archive")?;
        file.write_all_at(frame, length).map_err(|error| explain(error, &path))?;
        self.next.files.insert(name, length + frame.len() as u64);
        Ok(())
    }

    /// The newest file of `day`; a new one where there is none, or it is large enough.
    fn file_for(&mut self, day: &Day) -> Result<ArchiveFile> {
        let places = self.next.files.keys().map(ArchiveFile::place);
        let of_day = places.filter(|(its, _)| *day == **its);
        let mut part = of_day.map(|(_, part)| part).max().unwrap_or(1);
        loop {
            let name = ArchiveFile::of(day, part)?;
            match self.next.files.get(&name).copied() {
                Some(length) if length < self.largest_file => return Ok(name),
                Some(_) => {}
                None if self.make_file(&name)? => return Ok(name),
                None => {}
            }
            part = part.saturating_add(1);
        }
    }

    /// Makes a file, unless somebody else has put one there. The cursor knows of it first, so that
    /// an unknown file is never ours.
    fn make_file(&mut self, name: &ArchiveFile) -> Result<bool> {
        let path = self.folder.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            return Ok(false);
        }
        self.committed.files.insert(name.clone(), 0);
        self.write_cursor(&self.committed)?;
        create_new(&path, 0o600).map_err(|error| explain(error, &path))?;
        self.next.files.insert(name.clone(), 0);
        Ok(true)
    }

    /// Makes everything since the last commit count, `position` of `container` included.
    ///
    /// # Errors
    /// `logs.disk-full`, or what else went wrong; then nothing since the last commit counts.
    pub fn commit(&mut self, change: Option<(&str, Position)>) -> Result<()> {
        for (name, file) in std::mem::take(&mut self.open) {
            file.sync_data().map_err(|error| explain(error, &self.folder.join(&name)))?;
        }
        if let Some((container, position)) = change {
            self.next.containers.insert(container.to_owned(), position);
        }
        // Syncs the folder too, and with it the new files in it.
        self.write_cursor(&self.next)?;
        self.committed = self.next.clone();
        Ok(())
    }

    fn write_cursor(&self, cursor: &Cursor) -> Result<()> {
        let path = self.folder.join(CURSOR);
        let text = serde_json::to_vec_pretty(cursor).context("writing the cursor")?;
        write_atomically(&path, &text, 0o600).map_err(|error| {
            match error.downcast::<std::io::Error>() {
                Ok(io) => explain(io, &path),
                Err(error) => error,
            }
        })
    }

    /// Takes back what was not committed.
    ///
    /// # Errors
    /// When a file cannot be cut off; the next run then does it.
    pub fn roll_back(&mut self) -> Result<()> {
        self.open.clear();
        self.next = self.committed.clone();
        self.next.files.clear();
        for (name, committed) in self.committed.files.clone() {
            let path = self.folder.join(&name);
            let length = match fs::symlink_metadata(&path) {
                Ok(facts) => facts.len(),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if committed > 0 {
                        self.warnings
                            .push(format!("{} was removed by somebody else", path.display()));
                    }
                    continue;
                }
                Err(error) => return Err(explain(error, &path)),
            };
            let keep = if length < committed {
                self.whole_part(&path, length, committed)?
            } else {
                committed
            };
            if keep == 0 {
                self.clear_away(&path, length.min(committed))?;
                continue;
            }
            if length > keep {
                let file = open_to_write(&path);
                file.and_then(|file| file.set_len(keep)).map_err(|error| explain(error, &path))?;
            }
            self.next.files.insert(name, keep);
        }
        Ok(())
    }

    /// Takes a file out of the archive: it holds nothing that counts, or `archived` bytes that
    /// nobody can read, which stay beside it.
    fn clear_away(&mut self, path: &Path, archived: u64) -> Result<()> {
        if archived == 0 {
            return remove(path).map_err(|error| explain(error, path));
        }
        let aside = path.with_extension("unreadable");
        self.warnings.push(format!("what is left of it cannot be read: {}", aside.display()));
        let name = aside.file_name().unwrap_or_default();
        rename(path, name).map_err(|error| explain(error, path))
    }

    /// What is whole of a file that lacks its end.
    fn whole_part(&mut self, path: &Path, length: u64, committed: u64) -> Result<u64> {
        let (has, had) = (Bytes(length), Bytes(committed));
        self.warnings.push(format!(
            "{} has {has} of the {had} that were archived: it was cut off",
            path.display()
        ));
        let (places, _) = frames(&open(path)?, length);
        Ok(places.last().map_or(0, Place::end))
    }

    /// Removes the [`surplus`] and returns it.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn retain(
        &mut self,
        bounds: &LogBounds,
        today: jiff::civil::Date,
    ) -> Result<Vec<ArchiveFile>> {
        let surplus = surplus(&self.next, bounds, today);
        for file in &surplus {
            let path = self.folder.join(file);
            remove(&path).with_context(|| format!("removing {}", path.display()))?;
            self.next.files.remove(file);
        }
        if !surplus.is_empty() {
            self.commit(None)?;
        }
        Ok(surplus)
    }

    /// The size of the whole archive in bytes.
    pub fn size(&self) -> u64 {
        self.next.files.values().sum()
    }
}

/// The files that are older than their days or make the archive larger than it may be, the oldest
/// first; never the newest, which is being written.
pub fn surplus(cursor: &Cursor, bounds: &LogBounds, today: jiff::civil::Date) -> Vec<ArchiveFile> {
    use jiff::ToSpan;
    let oldest = today.checked_sub(i64::from(bounds.days).days()).map(|day| day.to_string());
    let oldest = oldest.unwrap_or_default();
    let mut files: Vec<_> = cursor.files.iter().collect();
    files.sort_by(|(a, _), (b, _)| a.place().cmp(&b.place()));
    files.pop();
    let mut total: u64 = cursor.files.values().sum();
    let mut surplus = Vec::new();
    for (file, size) in files {
        if total > bounds.size.0 || file.place().0 < oldest.as_str() {
            total -= size;
            surplus.push(file.clone());
        }
    }
    surplus
}
