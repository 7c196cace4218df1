//! The backup folder: `objects/`, `sets/`, `state/` and a README.

mod known;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::config::Config;
use super::set::{PRIVATE, Set};
use crate::context::Context;
use crate::docker::transfer;
use crate::host::files::{self, PARTIAL, make_folder, read_optional, write_atomically};
use crate::host::identity::Identity;
use crate::host::lock::{Holder, IfHeld, Lock};
use crate::report::Report;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::stack::Stack;

/// The word for the newest set.
pub const LATEST: &str = "latest";

/// No set is meant.
pub const UNKNOWN: &str = "set.unknown";
/// Several sets are meant.
pub const AMBIGUOUS: &str = "set.ambiguous";

/// Sets that are asked for the folder's identity.
const NAMING: usize = 3;

const README: &str = include_str!("folder.md");

/// The backup folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder(PathBuf);

/// A manifest that cannot be used.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// Where it lies.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

impl Folder {
    /// Where the backups of `stack` lie. Sets that were there and are not are no empty folder.
    ///
    /// # Errors
    /// `backup.folder-gone`; when a record cannot be read.
    pub fn of(cx: &Context, config: &Config, stack: &Stack) -> Result<Self> {
        let folder = Self::whatever(cx, config, stack);
        let Some(known) = known::remembered(cx, &folder.0)? else { return Ok(folder) };
        if folder.identity()? == Some(known) {
            Ok(folder)
        } else {
            Err(known::gone(&folder.0).into())
        }
    }

    /// As [`Folder::of`], whatever lies there now.
    pub fn whatever(cx: &Context, config: &Config, stack: &Stack) -> Self {
        if config.folder.as_os_str().is_empty() {
            Self(stack.data_dir().join("backups"))
        } else {
            Self(cx.root.join(&config.folder))
        }
    }

    /// The one at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// What it is known by; none where it is new. Whoever carries it elsewhere may leave `state`
    /// behind: the newest sets name it too.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn identity(&self) -> Result<Option<Identity>> {
        if let Some(own) = known::own(&self.state())? {
            return Ok(Some(own));
        }
        let newest = files(&self.sets_path())?.into_iter().rev().take(NAMING);
        Ok(newest.filter_map(|path| Set::load(&path).ok()?.manifest.folder).next())
    }

    /// Has the repository miss it from now on.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn remember(&self, cx: &Context) -> Result<()> {
        match self.identity()? {
            Some(identity) => known::remember(cx, &self.0, &identity),
            None => Ok(()),
        }
    }

    /// Whether there is no set in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(files(&self.sets_path())?.is_empty())
    }

    /// Itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where manifests lie.
    pub fn sets_path(&self) -> PathBuf {
        self.0.join("sets")
    }

    /// Where lies what changes.
    pub fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    /// Makes what is missing of it.
    ///
    /// # Errors
    /// When that cannot be done.
    fn make(&self) -> Result<()> {
        for folder in [self.0.clone(), self.0.join("objects"), self.sets_path(), self.state()] {
            make_folder(&folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
        }
        if known::own(&self.state())?.is_none() {
            let identity = self.identity()?.map_or_else(Identity::random, Ok)?;
            known::keep(&self.state(), identity)?;
        }
        let readme = self.0.join("README.md");
        if read_optional(&readme)?.as_deref() != Some(README) {
            write_atomically(&readme, README.as_bytes(), PRIVATE)?;
        }
        Ok(())
    }

    /// Waits until nobody else changes the folder, and clears what a killed run has left in it,
    /// save objects, which are `prune`'s.
    ///
    /// # Errors
    /// When the lock cannot be taken or the user interrupts.
    pub fn lock(&self, report: &Report, what: &str) -> Result<Lock> {
        for folder in [&self.0, &self.state()] {
            make_folder(folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
        }
        let waiting = |holder: &Holder| report.progress(format!("waiting for {holder}"));
        let lock = Lock::take(&self.state().join("lock"), what, IfHeld::Wait, waiting)?;
        self.make()?;
        transfer::remove_leftovers(&self.state())?;
        for folder in [self.sets_path(), self.state()] {
            for path in entries(&folder)? {
                if path.to_string_lossy().ends_with(PARTIAL) {
                    files::remove(&path).with_context(|| format!("removing {}", path.display()))?;
                }
            }
        }
        Ok(lock)
    }

    /// Every set, the oldest first, and the manifests that cannot be used.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn sets(&self) -> Result<(Vec<Set>, Vec<Damaged>)> {
        let (mut sets, mut damaged) = (Vec::new(), Vec::new());
        for path in files(&self.sets_path())? {
            match Set::load(&path) {
                Ok(set) => sets.push(set),
                Err(error) => damaged.push(Damaged { path, why: format!("{error:#}") }),
            }
        }
        sets.sort_by(|a, b| (a.manifest.started, &a.id).cmp(&(b.manifest.started, &b.id)));
        Ok((sets, damaged))
    }

    /// The set that `word` means among those that are `wanted`: an id, a unique beginning of one,
    /// or [`LATEST`].
    ///
    /// # Errors
    /// A usage problem when there is none or there are several.
    pub fn find(&self, word: &str, wanted: impl Fn(&Set) -> bool) -> Result<Set> {
        let (sets, damaged) = self.sets()?;
        let mut sets = sets.into_iter().filter(wanted);
        let mut found: Vec<_> = if word == LATEST {
            sets.next_back().into_iter().collect()
        } else {
            sets.filter(|set| set.id.starts_with(word)).collect()
        };
        if let Some(at) = found.iter().position(|set| set.id == *word) {
            return Ok(found.swap_remove(at));
        }
        match (found.pop(), found.len()) {
            (Some(set), 0) => Ok(set),
            (None, _) => {
                let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
                if let Some(bad) = damaged
                    .iter()
                    .find(|bad| name(&bad.path).is_some_and(|name| name.starts_with(word)))
                {
                    return Err(Problem::failed(
                        "set.damaged",
                        format!("{} cannot be used: {}", bad.path.display(), bad.why),
                    )
                    .mend(format!("choose another: {}", Xtask::BackupList))
                    .into());
                }
                Err(Problem::usage(UNKNOWN, format!("no set `{word}` in {}", self.0.display()))
                    .mend(Xtask::BackupList)
                    .into())
            }
            (Some(_), _) => {
                Err(Problem::usage(AMBIGUOUS, format!("several sets begin with `{word}`"))
                    .mend(format!("give more of its id: {}", Xtask::BackupList))
                    .into())
            }
        }
    }

    /// Every file below `objects/`, as manifests name them; half-written ones among them.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn objects(&self) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for folder in entries(&self.0.join("objects"))? {
            // A link is an object that no set names, whatever it leads to.
            let is_folder = fs::symlink_metadata(&folder).is_ok_and(|facts| facts.is_dir());
            let inside = if is_folder { entries(&folder)? } else { vec![folder] };
            for path in inside {
                if let Ok(path) = path.strip_prefix(&self.0) {
                    found.insert(path.to_string_lossy().into_owned());
                }
            }
        }
        Ok(found)
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match files::list(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.with_context(|| format!("reading {}", folder.display())),
    }
}

/// Whole ones.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = entries(folder)?;
    paths.retain(|path| !path.to_string_lossy().ends_with(PARTIAL));
    Ok(paths)
}
