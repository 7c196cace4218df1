//! Archives' contents into a directory or volume, by `tar` in a container that can write there
//! and nowhere else, as the files' future owner and with no rights but theirs.

use std::io::{Read, Write};

use anyhow::{Context as _, Result, bail};

use super::folder::Folder;
use super::object::{self, Contents, Keys};
use super::progress::Meter;
use super::set::{Content, ObjectRecord};
use super::tar::{Archive, END};
use crate::docker::helper::Helper;
use crate::docker::mount::Access;
use crate::docker::transfer::{Incoming, Way};
use crate::host::user::Owner;
use crate::process::check_interrupted;
use crate::report::Report;

/// Files belong to whoever unpacks them (`-o`, also for root). What follows the archive's end is read
/// too, or its writer would fail.
const UNPACK: &str = r#"umask "$1"; tar -x -o -f - -C /target; cat >/dev/null"#;

/// Where archives go, and what works there.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The project whose helper does it.
    pub project: &'a str,
    /// An image with `tar`; the server's own where one is started there.
    pub image: &'a str,
    /// The directory or volume, which is empty.
    pub place: &'a str,
    /// Who owns it.
    pub owner: Owner,
}

impl Target<'_> {
    /// A helper there with no rights but the owner's, which sees it at `path`.
    ///
    /// # Errors
    /// When Docker cannot show it the place.
    pub fn helper(&self, path: &str, access: Access) -> Result<Helper> {
        Helper::new(self.project, self.image).user(self.owner).volume(self.place, path, access)
    }

    /// Unpacks all of `objects` into the same place.
    ///
    /// # Errors
    /// When an object is not what its manifest says, holds what may not be, or does not fit. What
    /// has been unpacked by then is of no use.
    pub fn unpack(
        &self,
        report: &Report,
        folder: &Folder,
        objects: &[&ObjectRecord],
        keys: &Keys,
    ) -> Result<()> {
        let way = Way::choose(&folder.state())?;
        let helper = self.helper("/target", Access::Write)?;
        // A stack's own files keep their modes, since servers that are other users read them.
        let is_data = |object: &&ObjectRecord| object.content != Content::Configuration;
        let umask = if objects.iter().any(is_data) { "077" } else { "022" };
        let mut tar = Tar(Incoming::start(&helper, UNPACK, &[umask.to_owned()], &way)?);
        let what = format!("unpack {}", objects.first().map_or("nothing", |one| &one.service));
        let mut meter = Meter::new(report, what, content_bytes(objects));
        let mut written = 0;
        let mut progress = |bytes| {
            written += bytes;
            meter.at(written);
        };
        let mut members = |object: &&ObjectRecord| {
            object::read(folder.path(), object, keys, &mut |contents| match contents {
                Contents::Archive(archive) => tar.members(archive, &mut progress),
                Contents::Dump(_) => bail!("it is a dump, which is not unpacked"),
            })
        };
        let read = objects.iter().try_for_each(&mut members).and_then(|()| tar.end());
        let unpacked = tar.0.finish();
        check_interrupted()?;
        // What is wrong with the object comes first, then why tar ended early.
        match (read, unpacked) {
            (Err(error), Err(tar)) if is_broken_pipe(&error) => Err(tar),
            (Err(error), _) => Err(error),
            (Ok(()), unpacked) => unpacked.map(drop),
        }
    }
}

/// The program that unpacks. It gets nothing but what [`Archive`] has understood and written anew.
struct Tar(Incoming);

impl Tar {
    fn members(
        &mut self,
        archive: &mut Archive<impl Read>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        object::copy(archive, &mut |bytes| {
            self.0.write_all(bytes).context("handing it over")?;
            progress(bytes.len() as u64);
            Ok(())
        })
    }

    fn end(&mut self) -> Result<()> {
        self.0.write_all(&END).context("handing it over")
    }
}

/// What they hold, before compression.
pub fn content_bytes(objects: &[&ObjectRecord]) -> u64 {
    objects.iter().map(|object| object.content_bytes).sum()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
