//! How files are opened where others can write: containers, whoever may write the backup folder, other
//! users of the checkout. No link of theirs is followed, nothing is waited for, and only a regular
//! file is read or written.

#![allow(clippy::disallowed_methods, reason = "everybody else comes here")]

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::kind::{Refused, is_regular, regular};
use super::user::{self, Owner};

/// Links on the way to a folder, as many as the kernel follows.
const LINKS: usize = 40;
/// A folder on the way: opened without the right to read it.
const WAY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(SAFELY);
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// Opens the file at `path` for reading.
///
/// # Errors
/// `file.replaced` when something else than a regular file stands there, or somebody's link leads
/// there; when it cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    let (folder, name) = Folder::above(path)?;
    folder.open_file(name, OFlags::RDONLY, 0)
}

/// Opens the file at `path` for reading and for writing in place.
///
/// # Errors
/// As [`open`], and `file.replaced` when it has a second name, under which it would change as well.
pub fn open_to_write(path: &Path) -> io::Result<File> {
    let (folder, name) = Folder::above(path)?;
    folder.open_file(name, OFlags::RDWR, 0)
}

/// Makes the file at `path`, where there is none yet. What root makes belongs to the folder's owner.
///
/// # Errors
/// As [`open`], and when anything stands there.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let (folder, name) = Folder::above(path)?;
    let file = folder.create(name, mode)?;
    folder.give(&file)?;
    Ok(file)
}

/// Removes the file at `path`; of a link, the link.
///
/// # Errors
/// When there is none, or it cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    let (folder, name) = Folder::above(path)?;
    folder.remove(name)
}

/// Gives the file at `path` another name in its folder.
///
/// # Errors
/// When that cannot be done.
pub fn rename(path: &Path, name: &OsStr) -> io::Result<()> {
    let (folder, old) = Folder::above(path)?;
    folder.rename(old, name)
}

/// Everything in `folder`, in the order of the names.
///
/// # Errors
/// When it cannot be read, or somebody's link leads there.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in rustix::fs::Dir::new(Folder::open(folder)?.to_read()?)? {
        let name = entry?.file_name().to_owned();
        if ![c".", c".."].contains(&name.as_c_str()) {
            found.push(folder.join(OsStr::from_bytes(name.to_bytes())));
        }
    }
    found.sort();
    Ok(found)
}

/// A folder that is held open: what is done in it is done in this one, whatever takes its place.
#[derive(Debug)]
pub(super) struct Folder {
    way: OwnedFd,
    /// For messages.
    path: PathBuf,
}

impl Folder {
    /// The folder that `path` lies in, and its name there.
    pub(super) fn above(path: &Path) -> io::Result<(Self, &OsStr)> {
        let name = path.file_name().ok_or_else(|| io::Error::other("a file needs a name"))?;
        Ok((Self::open(path.parent().unwrap_or(Path::new("")))?, name))
    }

    /// Goes there step by step. A link counts only if root made it, or we did.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut rest: VecDeque<OsString> = parts(path).collect();
        let mut way = rustix::fs::openat(CWD, ".", WAY, Mode::empty())?;
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            match rustix::fs::openat(&way, &part, WAY, Mode::empty()) {
                Ok(next) => way = next,
                Err(Errno::NOTDIR | Errno::LOOP) if links < LINKS => {
                    links += 1;
                    let target = followed(&way, &part, path)?;
                    parts(&target).rev().for_each(|part| rest.push_front(part));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { way, path: path.to_owned() })
    }

    /// Opens the file `name`. Looks before, since a device may act on being opened, and after, since it
    /// may have been replaced.
    pub(super) fn open_file(&self, name: &OsStr, how: OFlags, mode: u32) -> io::Result<File> {
        let path = self.path.join(name);
        match rustix::fs::statat(&self.way, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) if how.contains(OFlags::CREATE) => {}
            Ok(_) if how.contains(OFlags::EXCL) => return Err(ErrorKind::AlreadyExists.into()),
            facts => regular(&path, &facts?, how)?,
        }
        let flags = how | SAFELY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::openat(&self.way, name, flags, Mode::from_raw_mode(mode))?;
        regular(&path, &rustix::fs::fstat(&file)?, how)?;
        Ok(file.into())
    }

    /// Makes the file `name`, where nothing has that name. It is ours until [`Folder::give`].
    pub(super) fn create(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode)
    }

    /// Makes the folder `name`.
    pub(super) fn make(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        rustix::fs::mkdirat(&self.way, name, Mode::from_raw_mode(mode))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | SAFELY;
        let made = File::from(rustix::fs::openat(&self.way, name, flags, Mode::empty())?);
        // The umask may have taken bits away.
        rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?;
        self.give(&made)?;
        self.sync()
    }

    /// Its owner and mode.
    pub(super) fn facts(&self) -> io::Result<(Owner, u32)> {
        let facts = rustix::fs::fstat(&self.way)?;
        Ok((owner(&facts), facts.st_mode & 0o7777))
    }

    /// Whose the file `name` is; none where there is no such file.
    pub(super) fn owner_of(&self, name: &OsStr) -> Option<Owner> {
        let facts = rustix::fs::statat(&self.way, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        is_regular(&facts).then(|| owner(&facts))
    }

    /// Gives what root has made in it to its owner.
    pub(super) fn give(&self, file: &File) -> io::Result<()> {
        if !user::is_root() {
            return Ok(());
        }
        let (Owner { uid, gid }, _) = self.facts()?;
        std::os::unix::fs::fchown(file, Some(uid), Some(gid))
    }

    /// Gives it another mode.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(self.to_read()?, Mode::from_raw_mode(mode))?)
    }

    /// Gives it to `owner`.
    pub(super) fn set_owner(&self, owner: Owner) -> io::Result<()> {
        std::os::unix::fs::fchown(self.to_read()?, Some(owner.uid), Some(owner.gid))
    }

    /// Replaces what is called `to`.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.way, from, &self.way, to)?)
    }

    /// Fails where something is called `to`.
    pub(super) fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.way, from, &self.way, to, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS) => {
                match rustix::fs::statat(&self.way, to, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(ErrorKind::AlreadyExists.into()),
                    Err(Errno::NOENT) => self.rename(from, to),
                    Err(error) => Err(error.into()),
                }
            }
            renamed => Ok(renamed?),
        }
    }

    /// Removes the file `name`; of a link, the link.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.way, name, AtFlags::empty())?)
    }

    /// Makes lasting what was made, renamed or removed in it.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.to_read()?)?)
    }

    /// Makes lasting what was written to its file system.
    pub(super) fn sync_disk(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(self.to_read()?)?)
    }

    fn to_read(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.way, ".", flags, Mode::empty())?)
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().map(|part| part.as_os_str().to_owned())
}

fn owner(facts: &Stat) -> Owner {
    Owner { uid: facts.st_uid, gid: facts.st_gid }
}

/// Where the link `name` leads, which was found on the way to `path`.
fn followed(folder: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<PathBuf> {
    let link = rustix::fs::openat(folder, name, OFlags::PATH | SAFELY, Mode::empty())?;
    let facts = rustix::fs::fstat(&link)?;
    if FileType::from_raw_mode(facts.st_mode) != FileType::Symlink {
        return Err(Errno::NOTDIR.into());
    }
    if !user::is_trusted(facts.st_uid) {
        let (path, name) = (path.display(), name.display());
        let of = user::shown(facts.st_uid);
        let found = format!("`{name}` on the way to {path} is a link of {of}");
        let way = "see where it leads; where that is right, name that place itself in the settings, else remove the link";
        return Err(Refused::replaced(found, way.to_owned()));
    }
    let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}
