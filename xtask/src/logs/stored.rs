//! What lies in an archive's folder, and how it is read: files of frames, and the cursor.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::cursor::{Cursor, Position, Trail};
use super::day::ArchiveFile;
use super::entry::{Entry, Origin, fingerprint};
use super::frame::{self, Place};
use crate::host::files;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;

/// The cursor's name.
pub(super) const CURSOR: &str = "cursor.json";

/// What to do about an error of the disk.
pub(super) fn explain(error: std::io::Error, path: &Path) -> anyhow::Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Problem::failed("logs.disk-full", format!("the disk is full: {} cannot be written. Nothing is lost: what the engine has was not archived yet, and what was archived stays", path.display()))
                .mend(format!("make room, then: {}", Xtask::RotateLogs))
                .into()
        }
        ErrorKind::PermissionDenied => {
            Problem::failed("logs.permission", format!("you may not read or write {}: it belongs to another user", path.display()))
                .mend("run the command as the user who set the stacks up, or as root")
                .into()
        }
        _ => anyhow::Error::from(error).context(format!("using {}", path.display())),
    }
}

/// Opens an archive's file for reading.
///
/// # Errors
/// `logs.permission`, or what else went wrong.
pub fn open(path: &Path) -> Result<File> {
    files::open(path).map_err(|error| explain(error, path))
}

/// The archive's files in `folder`, the oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<ArchiveFile>> {
    let paths = match files::list(folder) {
        Ok(paths) => paths,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(explain(error, folder)),
    };
    let name = |path: &PathBuf| path.file_name()?.to_str()?.try_into().ok();
    let mut names: Vec<ArchiveFile> = paths.iter().filter_map(name).collect();
    names.sort_by(|a, b| a.place().cmp(&b.place()));
    Ok(names)
}

/// The whole frames of a file up to `length`, and what keeps us from reading on, if anything does.
pub fn frames(file: &File, length: u64) -> (Vec<Place>, Option<anyhow::Error>) {
    let mut places = Vec::new();
    let mut offset = 0;
    loop {
        match frame::at(file, offset, length) {
            Ok(Some(place)) => {
                offset = place.end();
                places.push(place);
            }
            Ok(None) => return (places, None),
            Err(error) => return (places, Some(error)),
        }
    }
}

/// The cursor of the archive in `folder`. Where it is damaged or missing, it is made from the
/// archive, and that is said.
///
/// # Errors
/// When something cannot be read.
pub fn load(folder: &Path) -> Result<(Cursor, Option<String>)> {
    let path = folder.join(CURSOR);
    let text = files::read_text(&path);
    let what = match &text {
        Ok(text) => match serde_json::from_str(text) {
            Ok(cursor) => return Ok((cursor, None)),
            Err(_) => "is damaged",
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if files(folder)?.is_empty() {
                return Ok((Cursor::default(), None));
            }
            "is missing"
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => "is damaged",
        Err(_) => return text.map(|_| Default::default()).map_err(|error| explain(error, &path)),
    };
    let warning =
        format!("{} {what}; what it said was read from the archive itself", path.display());
    Ok((rebuild(folder)?, Some(warning)))
}

/// The cursor as the archive itself tells it: its last frames hold the last entries.
fn rebuild(folder: &Path) -> Result<Cursor> {
    let mut cursor = Cursor::default();
    for name in files(folder)? {
        let path = folder.join(&name);
        let file = open(&path)?;
        let length = file.metadata().map_err(|error| explain(error, &path))?.len();
        let (places, _) = frames(&file, length);
        cursor.files.insert(name.clone(), places.last().map_or(0, Place::end));
        for place in places {
            let Ok(entries) = frame::unpack(&file, &place) else { continue };
            let id = place.head.container;
            let position = cursor.containers.entry(id.clone()).or_insert_with(|| Position {
                name: id.chars().take(12).collect(),
                stamp: String::new(),
                day: None,
                trail: Trail::default(),
                ended: false,
            });
            for line in entries.split(|byte| *byte == b'\n') {
                // The engine knows nothing of our gaps.
                let Some(entry) = Entry::parse(line).filter(|entry| entry.origin != Origin::Gap)
                else {
                    continue;
                };
                position.trail.push(fingerprint(line));
                entry.stamp.clone_into(&mut position.stamp);
            }
            position.day = name.place().0.try_into().ok();
        }
    }
    Ok(cursor)
}
