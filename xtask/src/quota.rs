//! How large data directories are, and how large they may become.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::docker::helper::Helper;
use crate::docker::location::Location;
use crate::host::{disk, user};
use crate::report::units::Bytes;
use crate::setup::directories::wanted;
use crate::stack::Stack;
use crate::stack::manifest::DataDirectory;

/// From this part of its quota on, a directory is to be looked at.
pub const NEAR: f64 = 0.85;

/// A data directory against its quota.
#[derive(Debug, Clone, Serialize)]
pub struct Use {
    /// Its path below `DATA_DIR`.
    pub directory: String,
    /// Its size; none where it is missing.
    pub bytes: Option<u64>,
    /// How large it may become.
    pub quota_bytes: Option<u64>,
    /// What keeps it below.
    pub enforced_by: Option<String>,
}

impl Use {
    /// The part of the quota that is used; none without a quota or a size.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.bytes? as f64 / self.quota_bytes.filter(|quota| *quota > 0)? as f64)
    }
}

/// The quota of a directory, with the values of `.env`.
///
/// # Errors
/// When a variable is missing or no size.
pub fn of(stack: &Stack, directory: &DataDirectory) -> Result<Option<Bytes>> {
    let get = |name: &str| stack.env.get(name);
    let quota = directory.quota.as_ref().map(|quota| quota.required(&get));
    quota
        .transpose()
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("reading the quota of {}", directory.path))
}

/// Every data directory of `stack`. Where we are not root, a helper container counts.
///
/// # Errors
/// When a quota makes no sense, or the directories cannot be counted.
pub fn measure(stack: &Stack) -> Result<Vec<Use>> {
    let directories = wanted(stack);
    let sizes = sizes(stack, &directories).context("counting the data directories")?;
    let uses = directories.iter().map(|directory| {
        Ok(Use {
            directory: directory.path.clone(),
            bytes: sizes.get(&directory.path).copied(),
            quota_bytes: of(stack, directory)?.map(|quota| quota.0),
            enforced_by: directory.enforced_by.clone(),
        })
    });
    uses.collect()
}

/// The size in kilobytes and the name of each directory that is there. Files may come and go while
/// they are counted, which `du` takes for an error.
const SCRIPT: &str = r#"cd /data; command -v du >/dev/null; for name in "$@"; do if [ -d "$name" ]; then du -sk "$name" 2>/dev/null || true; fi; done"#;

fn sizes(stack: &Stack, directories: &[DataDirectory]) -> Result<BTreeMap<String, u64>> {
    // A helper would make it, and root its owner.
    if !stack.data_dir().is_dir() {
        return Ok(BTreeMap::new());
    }
    let names = directories.iter().map(|directory| directory.path.clone());
    if user::is_root() && Location::current()?.shares_owners() {
        let there = directories.iter().filter(|directory| stack.data_path(directory).is_dir());
        let size = |directory: &DataDirectory| {
            let path = stack.data_path(directory);
            let bytes =
                disk::used(&path).with_context(|| format!("looking at {}", path.display()))?;
            Ok((directory.path.clone(), bytes))
        };
        return there.map(size).collect();
    }
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
    let text = helper.cmd(SCRIPT, &names.collect::<Vec<_>>()).read()?;
    let size = |line: &str| {
        let (size, name) = line.split_once('\t')?;
        Some((name.to_owned(), size.parse::<u64>().ok()? * 1024))
    };
    Ok(text.lines().filter_map(size).collect())
}
