//! Files below directories that others can write. They are whole or not there: written beside, synced,
//! renamed, folder synced. How they are opened says `open`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rustix::fs::OFlags;

use super::kind::Refused;
use super::open::Folder;
pub use super::open::{create_new, list, open, open_to_write, remove, rename};
use super::user::{self, Owner};

/// How a half-written file is named until it is renamed: `.<name>.<random>.partial`.
pub const PARTIAL: &str = ".partial";

/// Puts `contents` at `path` with `mode`; a link there is replaced and not followed. A crash leaves the
/// old file or the new one, and at most a stray `.partial` beside, which the next write of the same
/// file removes.
///
/// # Errors
/// When the folder is missing, full or not writable; the old file is then untouched.
pub fn write_atomically(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    replace(path, contents, mode, None)
}

/// As [`write_atomically`], of a file that a person edits: one that is a link stays one, and where it leads
/// is written.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_followed(path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    let real = path.canonicalize();
    write_atomically(real.as_deref().unwrap_or(path), contents, mode)
}

/// As [`write_atomically`], for another user to own; only for root.
///
/// # Errors
/// As [`write_atomically`], and when we may not give it away.
pub fn write_for(path: &Path, contents: &[u8], mode: u32, owner: Owner) -> Result<()> {
    replace(path, contents, mode, Some(owner))
}

fn replace(path: &Path, contents: &[u8], mode: u32, owner: Option<Owner>) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new(""));
        partials(folder, &name)?.iter().try_for_each(|path| remove(path))?;
        let partial = Partial::beside(path, mode, owner)?;
        partial.file().write_all(contents)?;
        partial.replace()
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// A file that is being written beside the one whose name it gets in the end, in a folder that is held
/// open. Dropped before, it is removed. What root writes belongs to whom the file did that it
/// replaces, else to the folder's owner.
#[derive(Debug)]
pub struct Partial {
    folder: Folder,
    temporary: OsString,
    name: OsString,
    file: File,
}

impl Partial {
    /// Makes it, with `mode`.
    ///
    /// # Errors
    /// When the folder is missing or not writable, or we may not give it to `owner`.
    pub fn beside(path: &Path, mode: u32, owner: Option<Owner>) -> std::io::Result<Self> {
        let (folder, name) = Folder::above(path)?;
        let mut random = [0; 6];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let random = super::digest::hex(&random);
        let temporary = OsString::from(format!(".{}.{random}{PARTIAL}", name.to_string_lossy()));
        let file = folder.create(&temporary, 0o600)?;
        let owner = owner.or_else(|| folder.owner_of(name));
        let partial = Self { folder, temporary, name: name.to_owned(), file };
        match owner {
            Some(Owner { uid, gid }) if user::is_root() => {
                std::os::unix::fs::fchown(&partial.file, Some(uid), Some(gid))?;
            }
            _ => partial.folder.give(&partial.file)?,
        }
        partial.file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(partial)
    }

    /// To write into.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name, for good.
    ///
    /// # Errors
    /// When that cannot be done; the old file is then untouched.
    pub fn replace(self) -> std::io::Result<()> {
        self.file.sync_all()?;
        self.folder.rename(&self.temporary, &self.name)?;
        self.folder.sync()
    }

    /// Gives it its name, for good, where nothing has it.
    ///
    /// # Errors
    /// When something has it, or that cannot be done.
    pub fn name(self) -> std::io::Result<()> {
        self.file.sync_all()?;
        self.folder.rename_new(&self.temporary, &self.name)?;
        self.folder.sync()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Once it has its name, there is none.
        let _ = self.folder.remove(&self.temporary);
    }
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
    Ok(list(folder)?.into_iter().filter(is_partial).collect())
}

/// Makes lasting what was made, renamed or removed in `folder`.
///
/// # Errors
/// When it cannot be opened or synced.
pub fn sync(folder: &Path) -> std::io::Result<()> {
    Folder::open(folder)?.sync()
}

/// Makes lasting what was written to the file system that `folder` is on.
///
/// # Errors
/// As [`sync`].
pub fn sync_disk(folder: &Path) -> std::io::Result<()> {
    Folder::open(folder)?.sync_disk()
}

/// What stands in `path`.
///
/// # Errors
/// As [`open`], and when it cannot be read.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of `path`.
///
/// # Errors
/// As [`read`], and when it is no text (UTF-8).
pub fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
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
    match read_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Says of a file that we may not use whose it is, and what to do.
pub fn explain(error: std::io::Error, path: &Path) -> anyhow::Error {
    use std::os::unix::fs::MetadataExt as _;
    let facts = path.ancestors().find_map(|path| path.symlink_metadata().ok());
    let owner = facts.map(|facts| facts.uid()).filter(|owner| *owner != user::owner().uid);
    match owner.filter(|_| error.kind() == ErrorKind::PermissionDenied) {
        Some(owner) => {
            let name = user::shown(owner);
            let found = format!("{} belongs to {name}, and you may not use it", path.display());
            let ways = vec![
                format!("run the command as {name}, or as root"),
                "work in a clone of your own, with another DATA_DIR".to_owned(),
            ];
            Refused { id: "file.of-another-user", found, ways }.into()
        }
        None => anyhow::Error::from(error).context(format!("using {}", path.display())),
    }
}

/// Makes the directory `path` where it is missing, and gives it `owner` and `mode`; only for root or
/// for one of ours.
///
/// # Errors
/// As [`make_folder`], and when we may not give it away.
pub fn make_directory(path: &Path, owner: Owner, mode: u32) -> std::io::Result<()> {
    make_folder(path, mode)?;
    let folder = Folder::open(path)?;
    folder.set_mode(mode)?;
    folder.set_owner(owner)
}

/// Makes `path` with `mode`, and what is missing above it, for the owner of the folder above; one that
/// is there stays as it is.
///
/// # Errors
/// When it cannot be made, or a file or somebody's link stands there.
pub fn make_folder(path: &Path, mode: u32) -> std::io::Result<()> {
    match Folder::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        there => return there.map(drop),
    }
    let (folder, name) = match Folder::above(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_folder(path.parent().unwrap_or(Path::new("/")), 0o755)?;
            Folder::above(path)?
        }
        above => above?,
    };
    match folder.make(name, mode) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Folder::open(path).map(drop),
        made => made,
    }
}

/// Opens the file of a lock, made if missing, in a folder where nobody else can open it. What earlier
/// versions left open to others is closed, as far as it is ours.
pub(super) fn open_lock(path: &Path) -> std::io::Result<File> {
    let (folder, name) = Folder::above(path)?;
    let (owner, mode) = folder.facts()?;
    if mode & 0o077 != 0 && (user::is_root() || owner.uid == user::owner().uid) {
        folder.set_mode(0o700)?;
    }
    let file = match folder.open_file(name, OFlags::RDWR | OFlags::CREATE, 0o600) {
        // An earlier version made it for root, and for all to read.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return folder.open_file(name, OFlags::RDONLY, 0);
        }
        opened => opened?,
    };
    folder.give(&file)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
