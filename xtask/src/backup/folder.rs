//! The backup folder: `objects/`, `sets/`, `state/` and a README.

mod known;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::config::Config;
use super::damaged::Damaged;
use super::origin::{EXTENSION, Trust};
use super::set::{PRIVATE, Set, stamp};
use super::signature;
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

/// A place that no folder reaches by making sets: whoever forges a manifest may claim any.
const FAR: u64 = 1 << 32;

const README: &str = include_str!("folder.md");

/// The backup folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder {
    path: PathBuf,
    trust: Trust,
}

/// What `latest` means of a stack.
#[derive(Debug)]
pub struct Latest {
    /// The set that was made last, of those that can be used.
    pub set: Option<Set>,
    /// Manifests that cannot be used and may be of a later one.
    pub newer: Vec<Damaged>,
}

impl Folder {
    /// Where the backups of `stack` lie. Sets that were there and are not are no empty folder.
    ///
    /// # Errors
    /// `backup.folder-gone`; when a record cannot be read.
    pub fn of(cx: &Context, config: &Config, stack: &Stack) -> Result<Self> {
        let folder = Self::whatever(cx, config, stack)?;
        let Some(known) = known::remembered(cx, &folder.path)? else { return Ok(folder) };
        if folder.identity()? == Some(known) {
            Ok(folder)
        } else {
            Err(known::gone(&folder.path).into())
        }
    }

    /// As [`Folder::of`], whatever lies there now.
    ///
    /// # Errors
    /// When a key or a record of signatures is damaged.
    pub fn whatever(cx: &Context, config: &Config, stack: &Stack) -> Result<Self> {
        let path = match config.folder.as_os_str().is_empty() {
            true => stack.data_dir().join("backups"),
            false => cx.root.join(&config.folder),
        };
        Ok(Self::at(path).believing(signature::trust(cx, config)?))
    }

    /// The one at this path, of whose sets none is believed.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), trust: Trust::default() }
    }

    /// With sets that are believed.
    pub fn believing(self, trust: Trust) -> Self {
        Self { trust, ..self }
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
        let newest = self.manifests()?.into_iter().rev();
        let sets = newest.filter_map(|path| Set::load(&path, &self.trust).ok());
        let believed = sets.filter(|set| set.origin.is_believed()).take(NAMING);
        Ok(believed.filter_map(|set| set.manifest.folder).next())
    }

    /// Has the repository miss it from now on.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn remember(&self, cx: &Context) -> Result<()> {
        match self.identity()? {
            Some(identity) => known::remember(cx, &self.path, &identity),
            None => Ok(()),
        }
    }

    /// Whether there is no set in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.manifests()?.is_empty())
    }

    /// Itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whatever lies where manifests do, save their signatures and what is half-written.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn manifests(&self) -> Result<Vec<PathBuf>> {
        let mut paths = entries(&self.sets_path())?;
        paths.retain(|path| {
            let path = path.to_string_lossy();
            !path.ends_with(PARTIAL) && !path.ends_with(EXTENSION)
        });
        Ok(paths)
    }

    /// Where manifests lie.
    pub fn sets_path(&self) -> PathBuf {
        self.path.join("sets")
    }

    /// Where lies what changes.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Makes what is missing of it.
    ///
    /// # Errors
    /// When that cannot be done.
    fn make(&self) -> Result<()> {
        for folder in [self.path.clone(), self.path.join("objects"), self.sets_path(), self.state()]
        {
            make_folder(&folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
        }
        if known::own(&self.state())?.is_none() {
            let identity = self.identity()?.map_or_else(Identity::random, Ok)?;
            known::keep(&self.state(), identity)?;
        }
        let readme = self.path.join("README.md");
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
        for folder in [&self.path, &self.state()] {
            make_folder(folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
        }
        let waiting = |holder: &Holder| report.progress(format!("waiting for {holder}"));
        let lock = Lock::take(&self.state().join("lock"), what, IfHeld::Wait, waiting)?;
        self.make()?;
        transfer::remove_leftovers(&self.state())?;
        for folder in [self.sets_path(), self.state()] {
            for path in entries(&folder)? {
                if is_left_over(&path) {
                    files::remove(&path).with_context(|| format!("removing {}", path.display()))?;
                }
            }
        }
        Ok(lock)
    }

    /// Every set in the order of their making, those that are not believed before all others, and the
    /// manifests that cannot be used.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn sets(&self) -> Result<(Vec<Set>, Vec<Damaged>)> {
        let (mut sets, mut damaged) = (Vec::new(), Vec::new());
        for path in self.manifests()? {
            match Set::load(&path, &self.trust) {
                Ok(set) => sets.push(set),
                Err(error) => damaged.push(Damaged { path, why: format!("{error:#}") }),
            }
        }
        sets.sort_by_cached_key(|set| {
            (set.origin.is_believed(), set.manifest.place(), set.id.clone())
        });
        Ok((sets, damaged))
    }

    /// The place of the set that is made next.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn next_place(&self) -> Result<u64> {
        let (sets, _) = self.sets()?;
        // Those of another machine count, whose key may be named later.
        let may_be = |place: u64, set: &Set| set.origin.is_believed() || place < FAR;
        let places = sets.iter().filter_map(|set| Some((set.manifest.sequence?, set)));
        let places = places.filter(|(place, set)| may_be(*place, set)).map(|(place, _)| place);
        Ok(places.max().unwrap_or(0).saturating_add(1))
    }

    /// Whether a manifest, damaged or not, or an object of `project` has the name of `second`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn has_name_of(&self, second: Timestamp, project: &str) -> Result<bool> {
        let start = format!("/{}-{project}-", stamp(second));
        let manifests = entries(&self.sets_path())?;
        let is_manifest = |path: &PathBuf| path.to_string_lossy().contains(&start);
        let is_object = |path: &String| path.contains(&start);
        Ok(manifests.iter().any(is_manifest) || self.objects()?.iter().any(is_object))
    }

    /// The set of `stack` in `project` that was made last.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn latest(&self, project: &str, stack: &str) -> Result<Latest> {
        let (sets, mut newer) = self.sets()?;
        let is_its = |set: &Set| set.manifest.project == *project && set.manifest.stack == *stack;
        let set = sets.into_iter().rfind(is_its);
        newer.retain(|bad| {
            bad.is_of(project, stack) && set.as_ref().is_none_or(|set| bad.is_newer_than(set))
        });
        Ok(Latest { set, newer })
    }

    /// The set that `word` means among those that are `wanted`: an id, or a unique beginning of one.
    ///
    /// # Errors
    /// A usage problem when there is none or there are several; `set.damaged` where a manifest
    /// that cannot be used may be meant.
    pub fn find(&self, word: &str, wanted: impl Fn(&Set) -> bool) -> Result<Set> {
        let (sets, damaged) = self.sets()?;
        let sets = sets.into_iter().filter(wanted);
        let mut found: Vec<_> = sets.filter(|set| set.id.starts_with(word)).collect();
        if let Some(at) = found.iter().position(|set| set.id == *word) {
            return Ok(found.swap_remove(at));
        }
        if let Some(bad) = damaged.iter().find(|bad| bad.is_called(word)) {
            return Err(bad.problem().into());
        }
        match (found.pop(), found.len()) {
            (Some(set), 0) => Ok(set),
            (None, _) => {
                Err(Problem::usage(UNKNOWN, format!("no set `{word}` in {}", self.path.display()))
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
        for folder in entries(&self.path.join("objects"))? {
            // A link is an object that no set names, whatever it leads to.
            let is_folder = fs::symlink_metadata(&folder).is_ok_and(|facts| facts.is_dir());
            let inside = if is_folder { entries(&folder)? } else { vec![folder] };
            for path in inside {
                if let Ok(path) = path.strip_prefix(&self.path) {
                    found.insert(path.to_string_lossy().into_owned());
                }
            }
        }
        Ok(found)
    }
}

/// Whether a killed run left it: a half-written file, or a signature without its manifest.
fn is_left_over(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let manifest = text.strip_suffix(EXTENSION).map(Path::new);
    text.ends_with(PARTIAL) || manifest.is_some_and(|manifest| !manifest.exists())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match files::list(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries.with_context(|| format!("reading {}", folder.display())),
    }
}
