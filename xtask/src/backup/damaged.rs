//! Manifests that cannot be used. Their objects may be whole, and their files may come back from a
//! copy: so each is named where another set would be taken in its place, and what it may name stays.

use std::path::PathBuf;

use super::set::{Set, is_stamp};
use crate::names::SetId;
use crate::report::finding::{Finding, Problem};

/// A manifest that cannot be used.
pub const DAMAGED: &str = "set.damaged";

/// The length of `20261123T131500Z`.
const STAMP: usize = 16;

/// A manifest that cannot be used.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// Where it lies.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

impl Damaged {
    /// The set that it was of, by the file's name; `None` where that is not the name of a manifest.
    pub fn id(&self) -> Option<SetId> {
        let name = self.path.file_name()?.to_str()?.strip_suffix(".json")?;
        let (id, _) = name.rsplit_once('.')?;
        let (time, rest) = id.split_at_checked(STAMP)?;
        (is_stamp(time) && rest.starts_with('-')).then(|| id.try_into().ok())?
    }

    /// Whether its name is that of a set of `stack` in `project`.
    pub fn is_of(&self, project: &str, stack: &str) -> bool {
        let of = format!("-{project}-{stack}");
        self.id().is_some_and(|id| id.get(STAMP..) == Some(&of))
    }

    /// Whether it may name the object at `path`: any of its project, since sets share objects; any
    /// at all where its own name does not tell the project.
    pub fn may_name(&self, path: &str) -> bool {
        let Some(id) = self.id() else { return true };
        let Some((project, _)) = id[STAMP..].rsplit_once('-') else { return true };
        let name = path.rsplit('/').next().unwrap_or(path);
        let rest = name.split_at_checked(STAMP).map(|(_, rest)| rest);
        rest.is_none_or(|rest| rest.strip_prefix(project).is_some_and(|rest| rest.starts_with('-')))
    }

    /// Whether its name is younger than that of `set`.
    pub fn is_newer_than(&self, set: &Set) -> bool {
        self.id().is_some_and(|id| id > set.id)
    }

    /// Whether a set that a person calls `word` could be this one.
    pub fn is_called(&self, word: &str) -> bool {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(word)
    }

    /// What is said of it; `before` is the newest set of the stack that can be used in its place.
    pub fn finding(&self, before: Option<&Set>) -> Finding {
        let instead = match before {
            Some(set) => format!("; the newest of its stack that can be used is {}", set.id),
            None => String::new(),
        };
        let (path, why) = (self.path.display(), &self.why);
        Finding::error(DAMAGED, format!("{path} cannot be used: {why}{instead}"))
            .mend("bring the file back from a copy of the folder; no object that it may name is removed meanwhile")
    }

    /// The same as the error that ends a command.
    pub fn problem(&self) -> Problem {
        let finding = self.finding(None);
        Problem::failed(DAMAGED, finding.found).mend(finding.mend)
    }
}

/// A finding for each of `damaged`; `sets` are those of the folder that can be used, in their order.
pub fn findings(damaged: &[Damaged], sets: &[Set]) -> Vec<Finding> {
    let newest = |bad: &Damaged| {
        let is_of = |set: &&Set| bad.is_of(&set.manifest.project, &set.manifest.stack);
        sets.iter().rfind(is_of)
    };
    damaged.iter().map(|bad| bad.finding(newest(bad))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::example;

    fn damaged(name: &str) -> Damaged {
        Damaged { path: PathBuf::from("/backups/sets").join(name), why: "cut".to_owned() }
    }

    #[test]
    fn what_a_damaged_manifest_may_name_is_told_by_its_name_or_is_everything() {
        let bad = damaged("20261124T131500Z-a-b-development.0000.json");
        assert!(bad.is_of("a-b", "development") && !bad.is_of("b", "development"));
        assert!(bad.is_newer_than(&example::development()));
        for (path, may) in [
            ("objects/redis/20261124T131500Z-a-b-data.tar.zst", true),
            ("objects/prometheus/20260101T000000Z-a-b-block.tar.zst", true),
            ("objects/redis/20261124T131500Z-a-c-data.tar.zst", false),
            ("objects/redis/20261124T131500Z-a-bc-data.tar.zst", false),
            ("objects/short", true),
        ] {
            assert_eq!(bad.may_name(path), may, "{path}");
        }
        for name in ["notes.txt", "20261124T131500Z-a-b-development", "x.0000.json"] {
            let bad = damaged(name);
            assert!(bad.id().is_none() && bad.may_name("objects/redis/y"), "{name}");
            assert!(!bad.is_of("a-b", "development"), "{name}");
        }
    }
}
