//! Objects that a new set may share with earlier ones, since what they are copies of never changes.

use std::collections::BTreeMap;

use anyhow::Result;

use super::folder::Folder;
use super::set::ObjectRecord;
use super::source::Part;
use super::verify;

/// By service and key.
#[derive(Debug, Default)]
pub struct Shared(BTreeMap<(String, String), ObjectRecord>);

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
        let is_good = |object: &ObjectRecord| {
            record.get(&object.path).is_none_or(|last| last.wrong.is_none()) && is_whole(object)
        };
        let mut found = BTreeMap::new();
        let ours = sets
            .into_iter()
            .map(|set| set.manifest)
            .filter(|manifest| manifest.project == project && manifest.recipients == recipients);
        for object in ours.flat_map(|manifest| manifest.objects) {
            let Some(key) = &object.key else { continue };
            let place = (object.service.clone(), key.clone());
            if !found.contains_key(&place) && is_good(&object) {
                found.insert(place, ObjectRecord { seconds: 0.0, ..object });
            }
        }
        Ok(Self(found))
    }

    /// The object that there is of `part`.
    pub fn find(&self, service: &str, part: &Part) -> Option<ObjectRecord> {
        let key = part.key.as_ref()?;
        self.0.get(&(service.to_owned(), key.clone())).cloned()
    }

    /// Whether an earlier set has the object.
    pub fn has(&self, object: &ObjectRecord) -> bool {
        self.0.values().any(|shared| shared.path == object.path)
    }
}
