//! What a restore has done so far, on disk before each step, so that whoever comes after a crash
//! knows what state the data directories are in, and finishes or undoes.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::backup::set::{PRIVATE, is_stamp};
use crate::data::Claim;
use crate::docker::helper::Helper;
use crate::host::files::{self, make_folder, read_optional, write_atomically};
use crate::names::{RelativePath, ServiceName, SetId, checked};
use crate::process::Cmd;
use crate::report::finding::Problem;
use crate::stack::Stack;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// New data is made beside the old, which nothing has touched.
    Staging,
    /// The new data is whole; directories are being exchanged.
    Swapping,
    /// The new data is in place; the old is kept.
    Done,
    /// The old data is being put back.
    Undoing,
    /// The old data is in place again; what had been restored is kept.
    Undone,
}

/// One data directory. All names are below `DATA_DIR`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The service.
    pub service: ServiceName,
    /// Where the server looks.
    pub path: RelativePath,
    /// Where the new data is made.
    pub staging: Beside,
    /// Where the old data is kept.
    pub before: Beside,
    /// Where the restored data is kept after an undo.
    pub undone: Beside,
}

/// What a directory beside one in use is for.
const PURPOSES: [&str; 3] = ["restore", "before-restore", "undone"];

checked! {
    /// A directory beside a data directory: `<path>.<purpose>-<UTC time>`.
    pub struct Beside: "a directory that a restore makes", |text| {
        let parts = text.rsplit_once('.').and_then(|(path, rest)| Some((path, rest.rsplit_once('-')?)));
        parts.is_some_and(|(path, (purpose, time))| {
            RelativePath::try_from(path).is_ok() && PURPOSES.contains(&purpose) && is_stamp(time)
        })
    }
}

impl Beside {
    /// The data directory that it lies beside.
    fn of(&self) -> &str {
        self.rsplit_once('.').map_or("", |(path, _)| path)
    }
}

impl Directory {
    /// The names for a restore of `service`, whose data lies at `path`, at the time `now`.
    ///
    /// # Errors
    /// When `path` leads out of the data directory.
    pub fn new(service: &ServiceName, path: &str, now: &str) -> Result<Self> {
        let [staging, before, undone] = PURPOSES.map(|purpose| format!("{path}.{purpose}-{now}"));
        Ok(Self {
            service: service.clone(),
            path: path.try_into()?,
            staging: staging.try_into()?,
            before: before.try_into()?,
            undone: undone.try_into()?,
        })
    }

    /// Whether it is the data directory of a service of `stack` and those beside it, and no other.
    fn is_of(&self, stack: &Stack) -> bool {
        let data = stack.service(&self.service).ok().and_then(|service| service.data.as_ref());
        data.is_some_and(|data| self.path == *data.path)
            && [&self.staging, &self.before, &self.undone].iter().all(|one| self.path == *one.of())
    }
}

/// The journal of a stack's last restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The set's id.
    pub set: SetId,
    /// How far it is.
    pub phase: Phase,
    /// What is exchanged.
    pub directories: Vec<Directory>,
    /// Directories that earlier restores keep.
    #[serde(default)]
    pub kept: Vec<Beside>,
    /// What was not looked at of the new data, or was not to be, with the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_looked_at: Vec<String>,
    /// The journal of the restore before this one, which counts again when this one comes to
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<Journal>>,
}

/// Takes triples: where the server looks, what comes there, and where goes what was there. Each step
/// finds out for itself whether it was done. Docker makes an empty directory where a mount's source
/// is missing; such a stray one gives way, and is kept where a server has filled it.
const SWAP: &str = r#"
cd /data
while [ $# -gt 0 ]; do
    path=$1 comes=$2 goes=$3; shift 3
    if [ -e "$comes" ]; then
        if [ -e "$goes" ]; then
            [ ! -e "$path" ] || rmdir "$path" || mv "$path" "$path.stray-$(date +%s)"
        elif [ -e "$path" ]; then
            mv "$path" "$goes"
        fi
        mv "$comes" "$path"
    fi
done
sync"#;

const REMOVE: &str = r#"cd /data; for path; do rm -rf "$path"; done; sync"#;

impl Journal {
    /// Where the journal of `stack` lies: with the data that it is about.
    pub fn path(stack: &Stack) -> PathBuf {
        stack.data_dir().join("state").join(format!("{}-restore.json", stack.name()))
    }

    /// The stack's journal; `None` where there was no restore.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn load(stack: &Stack) -> Result<Option<Self>> {
        let path = Self::path(stack);
        match read_optional(&path)? {
            Some(text) => {
                let journal = serde_json::from_str(&text).map_err(anyhow::Error::from);
                let journal = journal.and_then(|journal: Self| {
                    journal.refuse_others(stack)?;
                    Ok(journal)
                });
                journal.map(Some).map_err(|error| {
                    Problem::failed(
                        "restore.journal",
                        format!("{} is not a journal of xtask: {error:#}", path.display()),
                    )
                    .mend("look at it and at the data directories; where no restore was interrupted, remove it")
                    .into()
                })
            }
            None => Ok(None),
        }
    }

    /// Fails when it is about directories that are no data of `stack`.
    fn refuse_others(&self, stack: &Stack) -> Result<()> {
        for directory in &self.directories {
            ensure!(
                directory.is_of(stack),
                "{} is not the data of {}",
                directory.path,
                directory.service
            );
        }
        self.last.as_ref().map_or(Ok(()), |last| last.refuse_others(stack))
    }

    /// Writes it with `phase`, before that phase begins.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enter(&mut self, stack: &Stack, phase: Phase) -> Result<()> {
        self.phase = phase;
        if phase != Phase::Staging {
            self.last = None;
        }
        let text = serde_json::to_string_pretty(self).context("writing the journal")?;
        let path = Self::path(stack);
        let folder = path.parent().unwrap_or(&path);
        make_folder(folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
        write_atomically(&path, text.as_bytes(), PRIVATE)
    }

    /// Writes it as the journal of a restore that is about to begin, after the one before.
    ///
    /// # Errors
    /// When that one cannot be read, or this one not be written.
    pub fn begin(&mut self, stack: &Stack) -> Result<()> {
        self.last = Self::load(stack)?.map(Box::new);
        self.kept = self.last.as_ref().map_or_else(Vec::new, |last| last.kept());
        self.enter(stack, Phase::Staging)
    }

    /// This restore has come to nothing: what the one before has left counts again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn abandon(self, stack: &Stack) -> Result<()> {
        match self.last {
            Some(mut last) => last.enter(stack, last.phase),
            None => Self::forget(stack),
        }
    }

    /// Removes it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(stack: &Stack) -> Result<()> {
        let path = Self::path(stack);
        match files::remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// What it will be once an interruption is settled; `None` where nothing will be left.
    pub fn settled(mut self) -> Option<Self> {
        match self.phase {
            Phase::Staging => return self.last.map(|last| *last),
            Phase::Swapping => self.phase = Phase::Done,
            Phase::Undoing => self.phase = Phase::Undone,
            Phase::Done | Phase::Undone => {}
        }
        Some(self)
    }

    /// The data directories that are kept beside those in use.
    pub fn kept(&self) -> Vec<Beside> {
        let of_this = self.directories.iter().filter_map(|directory| match self.phase {
            Phase::Done => Some(directory.before.clone()),
            Phase::Undone => Some(directory.undone.clone()),
            _ => None,
        });
        self.kept.iter().cloned().chain(of_this).collect()
    }

    /// From now on there is nothing to undo, only directories that are kept; no journal where there
    /// are none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(&mut self, stack: &Stack) -> Result<()> {
        self.kept = self.kept();
        if self.kept.is_empty() {
            return Self::forget(stack);
        }
        self.directories.clear();
        self.enter(stack, Phase::Undone)
    }

    /// The command that puts the new data in place. Doing it twice does it once.
    ///
    /// # Errors
    /// When the data directory's path cannot be mounted.
    pub fn swap(&self, stack: &Stack, claim: &Claim) -> Result<Cmd> {
        self.exchange(stack, claim, |one| [&one.path, &one.staging, &one.before])
    }

    /// The command that puts the old data back. Doing it twice does it once.
    ///
    /// # Errors
    /// When the data directory's path cannot be mounted.
    pub fn swap_back(&self, stack: &Stack, claim: &Claim) -> Result<Cmd> {
        self.exchange(stack, claim, |one| [&one.path, &one.before, &one.undone])
    }

    fn exchange(
        &self,
        stack: &Stack,
        claim: &Claim,
        names: fn(&Directory) -> [&str; 3],
    ) -> Result<Cmd> {
        let names: Vec<_> = self.directories.iter().flat_map(names).map(str::to_owned).collect();
        Ok(helper(stack, claim)?.cmd(SWAP, &names))
    }
}

/// The command that removes directories below `DATA_DIR`.
///
/// # Errors
/// When its path cannot be mounted.
pub fn removal(stack: &Stack, claim: &Claim, names: &[Beside]) -> Result<Cmd> {
    let names: Vec<_> = names.iter().map(String::from).collect();
    Ok(helper(stack, claim)?.cmd(REMOVE, &names))
}

/// A helper that sees the data directory, for those who have a right to it.
///
/// # Errors
/// When its path cannot be mounted.
pub fn helper(stack: &Stack, _: &Claim) -> Result<Helper> {
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")
}

#[cfg(test)]
mod tests;
