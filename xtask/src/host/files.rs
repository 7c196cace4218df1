//! Files that are whole or not there: written beside, synced, renamed, folder synced.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::user::Owner;

/// How a half-written file is named until it is renamed: `.<name>.<random>.partial`.
pub const PARTIAL: &str = ".partial";

/// Puts `contents` at `path` with `mode`. A crash leaves the old file or the new one, and at most
/// a stray `.partial` beside, which the next write of the same file removes.
///
/// # Errors
/// When the folder is missing, full or not writable; the old file is then untouched.
pub fn write_atomically(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    // A link stays one: the file that it points to is replaced.
    let real = path.canonicalize();
    replace(real.as_deref().unwrap_or(path), contents, mode, None)
}

/// As [`write_atomically`], for another user to own; only for root.
///
/// # Errors
/// As [`write_atomically`], and when we may not give it away.
pub fn write_for(path: &Path, contents: &[u8], mode: u32, owner: Owner) -> Result<()> {
    replace(path, contents, mode, Some(owner))
}

fn replace(path: &Path, contents: &[u8], mode: u32, owner: Option<Owner>) -> Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().context("a file needs a name")?.to_string_lossy();
    let write = || -> std::io::Result<()> {
        partials(folder, &name)?.iter().try_for_each(fs::remove_file)?;
        let mut file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(PARTIAL)
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(folder)?;
        file.write_all(contents)?;
        // The umask may have taken bits away.
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        match owner {
            Some(Owner { uid, gid }) => {
                std::os::unix::fs::fchown(file.as_file(), Some(uid), Some(gid))?;
            }
            None => keep_owner(file.as_file(), path, folder)?,
        }
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// What root writes into a user's folder stays the user's: gives `file`, which will stand at `path`, the
/// owner of the file that is there, else of `folder`.
///
/// # Errors
/// When neither can be looked at.
pub fn keep_owner(file: &File, path: &Path, folder: &Path) -> std::io::Result<()> {
    take_owner_of(file, if path.exists() { path } else { folder })
}

/// Gives what root has made to the owner of `other`, such as the folder that it lies in.
///
/// # Errors
/// When `other` cannot be looked at.
pub fn take_owner_of(file: &File, other: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    if !super::user::is_root() {
        return Ok(());
    }
    let of = fs::metadata(other)?;
    std::os::unix::fs::fchown(file, Some(of.uid()), Some(of.gid()))
}

/// What killed writers of the file `name` have left in `folder`.
///
/// # Errors
/// When the folder cannot be listed.
pub fn partials(folder: &Path, name: &str) -> std::io::Result<Vec<PathBuf>> {
    let prefix = format!(".{name}.");
    let is_partial = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let random = file.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(PARTIAL));
        // Longer names with a dot are those of another file, which may be about to be renamed.
        random.is_some_and(|random| !random.contains('.'))
    };
    let entries = fs::read_dir(folder)?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(is_partial).collect())
}

/// When something in `folder`, or the folder itself, was last changed, moved or replaced.
///
/// # Errors
/// When it cannot be looked at.
pub fn changed_at(folder: &Path) -> Result<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let looking = || format!("looking at {}", folder.display());
    let facts = fs::symlink_metadata(folder).with_context(looking)?;
    let since = Duration::new(
        u64::try_from(facts.ctime()).unwrap_or_default(),
        u32::try_from(facts.ctime_nsec()).unwrap_or_default(),
    );
    let mut latest = UNIX_EPOCH + since;
    if facts.is_dir() {
        for entry in fs::read_dir(folder).with_context(looking)? {
            latest = latest.max(changed_at(&entry.with_context(looking)?.path())?);
        }
    }
    Ok(latest)
}

/// Every file below `folder`, in the order of their names.
///
/// # Errors
/// When it cannot be listed.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = || format!("listing {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        if path.is_dir() {
            files.extend(below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The text of `path`, `None` where there is no such file.
///
/// # Errors
/// When it is there but cannot be read.
pub fn read_optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Makes `path` and what is missing above it, with `mode` and the owner of the folder above; one
/// that is there stays as it is.
///
/// # Errors
/// When it cannot be made, or a file stands there.
pub fn make_folder(path: &Path, mode: u32) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().unwrap_or(Path::new("/"));
    if !above.exists() {
        fs::create_dir_all(above)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made?,
    }
    // The umask may have taken bits away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    take_owner_of(&File::open(path)?, above)?;
    File::open(above)?.sync_all()
}

/// Opens `path` for a lock: made if missing, readable by everybody, so that root and user can
/// stand in each other's way instead of failing on permissions.
pub(super) fn open_shared(path: &Path) -> std::io::Result<File> {
    let create = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(path);
    match create {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_file_with_its_mode_and_clears_what_a_crash_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(folder.path().join("..env.abc123.partial"), "half").unwrap();
        fs::write(folder.path().join("..env.copy.abc123.partial"), "another's").unwrap();
        write_atomically(&path, b"old", 0o644).unwrap();
        write_atomically(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomically(&link, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_failed_write_names_the_file() {
        let error = write_atomically(Path::new("/no/such/folder/file"), b"", 0o600).unwrap_err();
        assert!(format!("{error:#}").starts_with("writing /no/such/folder/file: No such file"));
    }
}
