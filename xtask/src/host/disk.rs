//! Free space, also where a directory does not exist yet.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What a file system has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The nearest directory that exists.
    pub at: PathBuf,
    /// The file system that it is on.
    pub device: u64,
    /// Bytes that an ordinary user may still write.
    pub available: u64,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// The space for `path`, asked of its nearest ancestor that exists.
///
/// # Errors
/// When the file system cannot be asked.
pub fn space(path: &Path) -> Result<Space> {
    let at = nearest_existing(path);
    let facts = rustix::fs::statvfs(at)
        .with_context(|| format!("asking for the space at {}", at.display()))?;
    Ok(Space {
        at: at.to_owned(),
        device: facts.f_fsid,
        available: facts.f_bavail.saturating_mul(facts.f_frsize),
        read_only: facts.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

/// What the files below `path` take of their disk, in bytes; nothing where there is none.
///
/// # Errors
/// When we may not look.
pub fn used(path: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let facts = match std::fs::symlink_metadata(path) {
        // Servers remove files while we look.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        facts => facts?,
    };
    let mut bytes = facts.blocks() * 512;
    if facts.is_dir() {
        for entry in std::fs::read_dir(path)? {
            bytes += used(&entry?.path())?;
        }
    }
    Ok(bytes)
}

/// `path` or its nearest ancestor that exists.
pub fn nearest_existing(path: &Path) -> &Path {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_use_is_counted_in_folders_below() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        let before = used(folder.path()).unwrap();
        std::fs::write(folder.path().join("below/file"), vec![1; 1 << 20]).unwrap();
        assert!((1 << 20..2 << 20).contains(&(used(folder.path()).unwrap() - before)));
        assert_eq!(used(&folder.path().join("gone")).unwrap(), 0);
    }

    #[test]
    fn a_directory_to_come_is_measured_where_it_would_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let space = space(&folder.path().join("not/yet")).unwrap();
        assert_eq!(space.at, folder.path());
        assert!(space.available > 0);
        std::fs::write(folder.path().join("file"), [1; 100_000]).unwrap();
        assert!((100_000..300_000).contains(&used(folder.path()).unwrap()));
    }
}
