//! Objects that a new set may share with earlier ones, since what they are copies of never changes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::folder::Folder;
use super::object::Keys;
use super::server::Part;
use super::set::ObjectRecord;
use super::verify::{self, Depth};
use crate::names::ServiceName;
use crate::report::Report;

/// A service and the key of what is copied.
type Key = (ServiceName, String);

fn key(service: &str, part: &Part) -> Option<Key> {
    Some((service.try_into().ok()?, part.key.clone()?))
}

/// What could be shared.
#[derive(Debug, Default)]
pub struct Shared {
    objects: BTreeMap<Key, ObjectRecord>,
    unverified: BTreeSet<Key>,
}

impl Shared {
    /// What sets of `project` hold that were encrypted to exactly these recipients. Each object is
    /// there with its size, and was right when it was last verified, if it ever was.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn of(folder: &Folder, project: &str, recipients: &[String]) -> Result<Self> {
        let record = verify::recorded(folder)?;
        let (sets, _) = folder.sets()?;
        let is_whole = |object: &ObjectRecord| {
            let facts = std::fs::symlink_metadata(folder.path().join(&object.path));
            facts.is_ok_and(|facts| facts.is_file() && facts.len() == object.bytes)
        };
        let mut found = Self::default();
        // Whoever can write into the folder could else choose what the next set holds.
        let ours =
            sets.into_iter().filter(|set| set.origin.is_believed()).map(|set| set.manifest).filter(
                |manifest| manifest.project == *project && manifest.recipients == recipients,
            );
        for object in ours.flat_map(|manifest| manifest.objects) {
            let Some(key) = object.key.clone() else { continue };
            let key = (object.service.clone(), key);
            let last = record.get(&object.path);
            let is_bad = last.is_some_and(|last| last.wrong.is_some());
            if is_bad || found.objects.contains_key(&key) || !is_whole(&object) {
                continue;
            }
            if last.is_none() {
                found.unverified.insert(key.clone());
            }
            found.objects.insert(key, ObjectRecord { seconds: 0.0, ..object });
        }
        Ok(found)
    }

    /// Verifies those of `parts` that nobody has verified yet, and leaves out what is wrong. A
    /// mistake of the disk would else go from set to set.
    ///
    /// # Errors
    /// When the outcome cannot be recorded or the user interrupts.
    pub fn verify<'p>(
        &mut self,
        report: &Report,
        folder: &Folder,
        service: &str,
        parts: impl IntoIterator<Item = &'p Part>,
    ) -> Result<()> {
        let keys: Vec<_> = parts
            .into_iter()
            .filter_map(|part| self.unverified.take(&key(service, part)?))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let objects: Vec<_> = keys.iter().filter_map(|key| self.objects.get(key)).collect();
        let looks = verify::each(report, folder, &objects, Depth::Full, &Keys::default())?;
        for (key, wrong) in keys.iter().zip(looks) {
            if let Some(wrong) = wrong {
                report.warning(format!("{}; it is not shared, but written anew", wrong.found));
                self.objects.remove(key);
            }
        }
        Ok(())
    }

    /// The object that there is of `part`.
    pub fn find(&self, service: &str, part: &Part) -> Option<ObjectRecord> {
        self.objects.get(&key(service, part)?).cloned()
    }

    /// Those of `parts` of which there is none.
    pub fn without<'p>(
        &self,
        service: &str,
        parts: impl IntoIterator<Item = &'p Part>,
    ) -> Vec<&'p Part> {
        parts.into_iter().filter(|part| self.find(service, part).is_none()).collect()
    }

    /// Whether an earlier set has the object.
    pub fn has(&self, object: &ObjectRecord) -> bool {
        self.objects.values().any(|shared| shared.path == object.path)
    }
}
