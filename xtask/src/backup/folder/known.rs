//! What a backup folder is known by, and where the repository remembers one. A folder that it
//! remembers and that is not there is not an empty one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::backup::set::PRIVATE;
use crate::context::Context;
use crate::host::files::{read_optional, write_atomically};
use crate::host::identity::Identity;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;

/// What `state/folder.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Own {
    identity: Identity,
}

/// By the folder's path, for all projects.
type Record = BTreeMap<PathBuf, Identity>;

fn own_path(state: &Path) -> PathBuf {
    state.join("folder.json")
}

/// The identity that `state` keeps; none where it has none that can be read, since sets name it too.
pub(super) fn own(state: &Path) -> Result<Option<Identity>> {
    let text = read_optional(&own_path(state))?;
    Ok(text.and_then(|text| serde_json::from_str::<Own>(&text).ok()).map(|own| own.identity))
}

/// Has `state` keep it.
pub(super) fn keep(state: &Path, identity: Identity) -> Result<()> {
    let text = serde_json::to_string_pretty(&Own { identity }).context("writing the identity")?;
    write_atomically(&own_path(state), text.as_bytes(), PRIVATE)
}

fn path(cx: &Context) -> PathBuf {
    cx.state_folder().join("backup-folders.json")
}

fn recorded(cx: &Context) -> Result<Record> {
    let text = read_optional(&path(cx))?;
    // The next backup writes it anew.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// What the repository remembers to be at `folder`.
pub(super) fn remembered(cx: &Context, folder: &Path) -> Result<Option<Identity>> {
    Ok(recorded(cx)?.remove(folder))
}

/// Has the repository remember what is at `folder`.
pub(super) fn remember(cx: &Context, folder: &Path, identity: &Identity) -> Result<()> {
    let mut record = recorded(cx)?;
    if record.get(folder) == Some(identity) {
        return Ok(());
    }
    record.insert(folder.to_owned(), identity.clone());
    let text = serde_json::to_string_pretty(&record).context("writing which folder is known")?;
    write_atomically(&path(cx), text.as_bytes(), PRIVATE)
}

/// What is said of a folder that is not there any more.
pub(super) fn gone(folder: &Path) -> Problem {
    let folder = folder.display();
    Problem::failed(
        "backup.folder-gone",
        format!("the backups are not in {folder} any more: perhaps its disk is not mounted"),
    )
    .mend(
        Advice::from(format!("mount it, and see: findmnt --target {folder}"))
            .or(format!("give the sets up, and begin anew there: {}", Xtask::BackupFresh)),
    )
}
