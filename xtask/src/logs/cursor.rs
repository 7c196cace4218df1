//! How far the archive of a service has come: the one file whose replacement commits a run.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::day::{ArchiveFile, Day};

/// Entries by which the place in a container's log is recognised. Of those the engine may have
/// lost some again (a power failure) or discarded some already.
const REMEMBERED: usize = 64;

/// `cursor.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// How long each file is; what lies beyond was never committed.
    pub files: BTreeMap<ArchiveFile, u64>,
    /// How far each container's log was archived, by its full id.
    pub containers: BTreeMap<String, Position>,
    /// How many gaps were named so far.
    pub gaps: u64,
}

/// How far a container's log was archived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The container's name.
    pub name: String,
    /// The stamp of the last entry.
    pub stamp: String,
    /// The day that the last entry went to.
    #[serde(with = "day")]
    pub day: Option<Day>,
    /// The last entries.
    pub trail: Trail,
    /// Whether the container had stopped when its log was read to the end.
    pub ended: bool,
}

/// The fingerprints of the last entries. Equal neighbours count as one with a number, and are
/// never divided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trail(VecDeque<Run>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    #[serde(with = "hex")]
    fingerprint: u64,
    count: u64,
}

impl Trail {
    /// Adds an entry.
    pub fn push(&mut self, fingerprint: u64) {
        match self.0.back_mut().filter(|last| last.fingerprint == fingerprint) {
            Some(last) => last.count += 1,
            None => self.0.push_back(Run { fingerprint, count: 1 }),
        }
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }
}

/// What is known of an entry that the engine gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It lies before the entries that are remembered, or nothing of them is left.
    Unknown,
    /// It was archived.
    Archived,
    /// It comes after what was archived.
    New,
}

/// Recognises in an engine's log where the archive ends. The engine keeps the order of a log, so
/// what was archived is followed by what was not.
#[derive(Debug)]
pub struct Recogniser<'a> {
    trail: &'a Trail,
    /// The run that is being seen and how much of it.
    at: Option<(usize, u64)>,
    is_past: bool,
}

impl<'a> Recogniser<'a> {
    /// Nothing is seen yet.
    pub fn new(trail: &'a Trail) -> Self {
        Self { trail, at: None, is_past: false }
    }

    /// Judges the next entry.
    pub fn judge(&mut self, fingerprint: u64) -> Verdict {
        let runs = &self.trail.0;
        let is = |index: usize| runs.get(index).is_some_and(|run| run.fingerprint == fingerprint);
        let next = match self.at {
            _ if self.is_past => None,
            None => {
                runs.iter().position(|run| run.fingerprint == fingerprint).map(|index| (index, 1))
            }
            Some((index, seen)) if is(index) && seen < runs[index].count => Some((index, seen + 1)),
            Some((index, _)) if is(index + 1) => Some((index + 1, 1)),
            Some(_) => None,
        };
        match (next, self.at) {
            (Some(next), _) => {
                self.at = Some(next);
                Verdict::Archived
            }
            (None, None) if !self.is_past => Verdict::Unknown,
            (None, _) => {
                self.is_past = true;
                Verdict::New
            }
        }
    }

    /// Whether any archived entry was seen.
    pub fn has_recognised(&self) -> bool {
        self.at.is_some()
    }

    /// Whether everything is new from here on.
    pub fn is_past(&self) -> bool {
        let at_end = |(index, seen): (usize, u64)| {
            index + 1 == self.trail.0.len()
                && self.trail.0.get(index).is_some_and(|run| run.count == seen)
        };
        self.is_past || self.at.is_some_and(at_end)
    }
}

/// No day is written as empty text.
mod day {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Day;

    pub(super) fn serialize<S: Serializer>(day: &Option<Day>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(day.as_deref().unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Day>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() { Ok(None) } else { text.try_into().map(Some).map_err(D::Error::custom) }
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        u64::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garble::garbled;
    use Verdict::{Archived, New, Unknown};

    fn trail(entries: impl IntoIterator<Item = u64>) -> Trail {
        let mut trail = Trail::default();
        entries.into_iter().for_each(|entry| trail.push(entry));
        trail
    }

    fn judge(trail: &Trail, entries: &[u64]) -> Vec<Verdict> {
        let mut recogniser = Recogniser::new(trail);
        entries.iter().map(|entry| recogniser.judge(*entry)).collect()
    }

    #[test]
    fn what_follows_the_archived_is_new_wherever_the_engine_begins() {
        let trail = trail([5, 6, 7, 8]);
        assert_eq!(
            judge(&trail, &[3, 4, 5, 6, 7, 8, 9]),
            [Unknown, Unknown, Archived, Archived, Archived, Archived, New]
        );
        assert_eq!(
            judge(&trail, &[7, 8, 9, 5]),
            [Archived, Archived, New, New],
            "the engine has discarded some"
        );
        assert_eq!(
            judge(&trail, &[5, 6, 9]),
            [Archived, Archived, New],
            "the engine has lost some again"
        );
        assert_eq!(judge(&trail, &[9, 10]), [Unknown, Unknown], "nothing is left: a gap");
        assert_eq!(judge(&trail, &[]), []);
    }

    #[test]
    fn a_cursor_of_any_kind_names_files_of_logs_alone() {
        let mut cursor = Cursor::default();
        let position = Position { trail: trail([1, 2, 2]), ..Position::default() };
        cursor.files.insert("2026-11-23.2.log.zst".try_into().unwrap(), 7);
        cursor.containers.insert("abc".to_owned(), position);
        let whole = serde_json::to_vec(&cursor).unwrap();
        let words = ["../", "/etc/x", "18446744073709551615", "null", "\"\"", "\"x\"", "[", "{"];
        garbled(&whole, &words, |bytes| {
            let Ok(read) = serde_json::from_slice::<Cursor>(bytes) else { return };
            assert!(
                read.files.keys().all(|name| !name.contains('/') && name.ends_with(".log.zst"))
            );
            for position in read.containers.values() {
                assert!(position.day.as_ref().is_none_or(|day| day.len() == 10));
                let mut trail = position.trail.clone();
                judge(&trail, &[1, 2, 2, 2, 3]);
                (0..200).for_each(|entry| trail.push(entry % 3));
            }
        });
    }

    #[test]
    fn equal_entries_are_told_apart_by_their_number() {
        let trail = trail([1, 2, 2]);
        assert_eq!(judge(&trail, &[1, 2, 2, 2]), [Archived, Archived, Archived, New]);
        assert_eq!(judge(&trail, &[1, 2, 3]), [Archived, Archived, New]);
        let mut recogniser = Recogniser::new(&trail);
        recogniser.judge(2);
        assert!(recogniser.has_recognised() && !recogniser.is_past());
        recogniser.judge(2);
        assert!(recogniser.is_past());
    }

    #[test]
    fn a_trail_forgets_the_oldest_and_never_divides_equal_ones() {
        let many = trail([1, 1].into_iter().chain(2..2 + REMEMBERED as u64 - 1));
        assert_eq!(judge(&many, &[1, 1, 2]), [Archived; 3]);
        let more = trail([1, 1].into_iter().chain(2..2 + REMEMBERED as u64));
        assert_eq!(judge(&more, &[1, 1, 2]), [Unknown, Unknown, Archived]);
        let text = serde_json::to_string(&more).unwrap();
        assert_eq!(serde_json::from_str::<Trail>(&text).unwrap(), more);
    }
}
