//! What a restore has done so far, on disk before each step, so that whoever comes after a crash
//! knows what state the data directories are in, and finishes or undoes.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::backup::set::PRIVATE;
use crate::docker::helper::Helper;
use crate::host::files::{make_folder, read_optional, write_atomically};
use crate::process::Cmd;
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
    pub service: String,
    /// Where the server looks.
    pub path: String,
    /// Where the new data is made.
    pub staging: String,
    /// Where the old data is kept.
    pub before: String,
    /// Where the restored data is kept after an undo.
    pub undone: String,
}

/// The journal of a stack's last restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The set's id.
    pub set: String,
    /// How far it is.
    pub phase: Phase,
    /// What is exchanged.
    pub directories: Vec<Directory>,
    /// Directories that earlier restores keep.
    #[serde(default)]
    pub kept: Vec<String>,
}

/// Each step finds out for itself whether it was done. Docker makes an empty directory where a
/// mount's source is missing; such a stray one gives way, and is kept where a server has filled it.
const SWAP: &str = r#"
cd /data
while [ $# -gt 0 ]; do
    path=$1 staging=$2 before=$3; shift 3
    if [ -e "$staging" ]; then
        if [ -e "$before" ]; then
            [ ! -e "$path" ] || rmdir "$path" || mv "$path" "$path.stray-$(date +%s)"
        elif [ -e "$path" ]; then
            mv "$path" "$before"
        fi
        mv "$staging" "$path"
    fi
done
sync"#;

/// As [`SWAP`], the other way.
const SWAP_BACK: &str = r#"
cd /data
while [ $# -gt 0 ]; do
    path=$1 undone=$2 before=$3; shift 3
    if [ -e "$before" ]; then
        if [ -e "$undone" ]; then
            [ ! -e "$path" ] || rmdir "$path" || mv "$path" "$path.stray-$(date +%s)"
        elif [ -e "$path" ]; then
            mv "$path" "$undone"
        fi
        mv "$before" "$path"
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
            Some(text) => serde_json::from_str(&text)
                .with_context(|| format!("reading the journal {}", path.display()))
                .map(Some),
            None => Ok(None),
        }
    }

    /// Writes it with `phase`, before that phase begins.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn enter(&mut self, stack: &Stack, phase: Phase) -> Result<()> {
        self.phase = phase;
        let text = serde_json::to_string_pretty(self).context("writing the journal")?;
        let path = Self::path(stack);
        let folder = path.parent().unwrap_or(&path);
        make_folder(folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
        write_atomically(&path, text.as_bytes(), PRIVATE)
    }

    /// Removes it.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget(stack: &Stack) -> Result<()> {
        let path = Self::path(stack);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The data directories that are kept beside those in use.
    pub fn kept(&self) -> Vec<String> {
        let of_this = self.directories.iter().filter_map(|directory| match self.phase {
            Phase::Done => Some(directory.before.clone()),
            Phase::Undone => Some(directory.undone.clone()),
            _ => None,
        });
        self.kept.iter().cloned().chain(of_this).collect()
    }

    /// The command that puts the new data in place. Doing it twice does it once.
    ///
    /// # Errors
    /// When the data directory's path cannot be mounted.
    pub fn swap(&self, stack: &Stack) -> Result<Cmd> {
        let names = self.directories.iter().flat_map(|directory| {
            [&directory.path, &directory.staging, &directory.before].map(String::clone)
        });
        Ok(helper(stack)?.cmd(SWAP, &names.collect::<Vec<_>>()))
    }

    /// The command that puts the old data back. Doing it twice does it once.
    ///
    /// # Errors
    /// When the data directory's path cannot be mounted.
    pub fn swap_back(&self, stack: &Stack) -> Result<Cmd> {
        let names = self.directories.iter().flat_map(|directory| {
            [&directory.path, &directory.undone, &directory.before].map(String::clone)
        });
        Ok(helper(stack)?.cmd(SWAP_BACK, &names.collect::<Vec<_>>()))
    }
}

/// The command that removes directories below `DATA_DIR`.
///
/// # Errors
/// When its path cannot be mounted.
pub fn removal(stack: &Stack, names: &[String]) -> Result<Cmd> {
    Ok(helper(stack)?.cmd(REMOVE, names))
}

/// A helper that sees the data directory.
///
/// # Errors
/// When its path cannot be mounted.
pub fn helper(stack: &Stack) -> Result<Helper> {
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")
}
