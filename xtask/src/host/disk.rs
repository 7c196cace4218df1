//! Free space, also where a directory does not exist yet.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::followed;

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

/// Whether something is mounted at `path`: another disk, or a directory of the same one, which no
/// device number tells. `false` where the system does not say.
///
/// # Errors
/// When the list of mounts cannot be read.
pub fn is_mount_point(path: &Path) -> Result<bool> {
    let mounts = Path::new("/proc/self/mountinfo");
    if !mounts.exists() {
        return Ok(false);
    }
    let Ok(path) = path.canonicalize() else { return Ok(false) };
    let list = followed::text(mounts).context("reading which mounts there are")?;
    Ok(mount_points(&list).any(|point| point == path.as_os_str().as_bytes()))
}

/// The fifth field of each line, in which blanks and the like are octal (proc(5)).
fn mount_points(list: &str) -> impl Iterator<Item = Vec<u8>> {
    list.lines().filter_map(|line| line.split(' ').nth(4)).map(|field| {
        let mut parts = field.split('\\');
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            let (digits, rest) = part.split_at_checked(3).unwrap_or((part, ""));
            bytes.extend(u8::from_str_radix(digits, 8).ok());
            bytes.extend(rest.as_bytes());
        }
        bytes
    })
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
    fn a_mount_of_a_directory_of_the_same_disk_is_seen() {
        let list = "36 35 98:0 /mnt1 / rw - ext3 /dev/root rw\n37 36 98:0 /a /data\\040dir/redis rw - ext3 /dev/root rw\n";
        let points: Vec<_> = mount_points(list).collect();
        assert_eq!(points, [b"/".to_vec(), b"/data dir/redis".to_vec()]);
        assert!(!is_mount_point(tempfile::tempdir().unwrap().path()).unwrap());
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
