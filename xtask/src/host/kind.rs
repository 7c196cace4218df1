//! What is opened is a regular file, and what else stands in its place is named.

use std::io;
use std::path::Path;

use rustix::fs::{FileType, OFlags, Stat};

use crate::process::quote;

/// Why a file is not used, with an id for programs and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Stable name.
    pub id: &'static str,
    /// What was found.
    pub found: String,
    /// Ways out that exclude each other.
    pub ways: Vec<String>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.found)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Something that is not ours stands where a file of ours should.
    pub(super) fn replaced(found: String, way: String) -> io::Error {
        io::Error::other(Self { id: "file.replaced", found, ways: vec![way] })
    }
}

pub(super) fn is_regular(facts: &Stat) -> bool {
    FileType::from_raw_mode(facts.st_mode) == FileType::RegularFile
}

/// Refuses what is no regular file and, where it is to be written in place, one with several names.
pub(super) fn regular(path: &Path, facts: &Stat, how: OFlags) -> io::Result<()> {
    let is_written = how.intersects(OFlags::RDWR | OFlags::WRONLY);
    let what = match FileType::from_raw_mode(facts.st_mode) {
        FileType::RegularFile if is_written && facts.st_nlink > 1 => {
            "has a second name (a hard link), under which it would change as well"
        }
        FileType::RegularFile => return Ok(()),
        FileType::Symlink => "is a symbolic link, where a file should be",
        FileType::Fifo => "is a named pipe, where a file should be",
        FileType::Directory => "is a directory, where a file should be",
        FileType::Socket => "is a socket, where a file should be",
        _ => "is a device, where a file should be",
    };
    let path = path.to_string_lossy();
    let (here, aside) = (quote(&path), quote(&format!("{path}.replaced")));
    let way = format!("find out who put it there, then move it away: mv {here} {aside}");
    Err(Refused::replaced(format!("{path} {what}"), way))
}
