//! Writes what is new of one container into the archive of its service.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::archive::Archive;
use super::cursor::{Position, Trail};
use super::day::Day;
use super::entry::{Entry, Origin, fingerprint};
use super::frame::{self, BLOCK, Head};
use super::fresh::Fresh;
use super::outcome::Outcome;
use crate::docker::container::Container;

/// Time after which what was archived is committed: so much work at most is done again after a
/// run was killed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// As the engine's client shows an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

pub(super) fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// The file that an entry goes to: of its own day, but never of one before the entry that came
/// before it, whatever the clock did, and never of a day to come.
pub(super) fn day(stamp: &str, before: Option<&Day>) -> Day {
    let own = stamp.get(..10).and_then(|day| Day::try_from(day).ok());
    let today = Day::from(today());
    own.max(before.cloned()).map_or_else(|| today.clone(), |day| day.min(today.clone()))
}

/// Entries that become one frame.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) day: Day,
    head: Head,
    lines: Vec<u8>,
}

impl Block {
    pub(super) fn new(container: &str, day: Day) -> Self {
        let head = Head {
            container: container.to_owned(),
            from: String::new(),
            to: String::new(),
            entries: 0,
            parts: 0,
            bytes: 0,
            packed: 0,
        };
        Self { day, head, lines: Vec::new() }
    }

    /// Adds an entry and returns its line.
    pub(super) fn push(&mut self, entry: &Entry<'_>) -> &[u8] {
        let start = self.lines.len();
        entry.write(&mut self.lines);
        self.lines.push(b'\n');
        let head = &mut self.head;
        if head.entries == 0 || entry.stamp < head.from.as_str() {
            entry.stamp.clone_into(&mut head.from);
        }
        if entry.stamp > head.to.as_str() {
            entry.stamp.clone_into(&mut head.to);
        }
        head.entries += 1;
        head.parts += u64::from(!entry.ends_line);
        &self.lines[start..self.lines.len() - 1]
    }

    /// The frame's bytes. The block is empty afterwards.
    pub(super) fn pack(&mut self) -> Result<Vec<u8>> {
        let mut head = self.head.clone();
        head.bytes = self.lines.len();
        let frame = frame::pack(head, &self.lines)?;
        self.lines.clear();
        self.head.entries = 0;
        self.head.parts = 0;
        self.head.to.clear();
        Ok(frame)
    }
}

/// Archives one container.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    archive: &'a mut Archive,
    container: &'a Container,
    outcome: &'a mut Outcome,
    position: Position,
    block: Block,
    /// When the last commit was.
    committed: Instant,
    /// Entries and bytes since the last commit.
    uncommitted: (u64, u64),
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        archive: &'a mut Archive,
        container: &'a Container,
        outcome: &'a mut Outcome,
    ) -> Self {
        let start = || Position {
            name: container.name().to_owned(),
            stamp: String::new(),
            day: None,
            trail: Trail::default(),
            ended: false,
        };
        let position = archive.position(&container.id).cloned().unwrap_or_else(start);
        let today = || Day::from(today());
        let block = Block::new(&container.id, position.day.clone().unwrap_or_else(today));
        Self {
            archive,
            container,
            outcome,
            position,
            block,
            committed: Instant::now(),
            uncommitted: (0, 0),
        }
    }

    /// Archives all that is new. What a failure leaves uncommitted is the caller's to roll back.
    pub(super) fn run(&mut self) -> Result<()> {
        let known = self.archive.position(&self.container.id).cloned();
        let mut fresh = Fresh::open(self.container, known.as_ref())?;
        let mut is_after_gap = fresh.is_after_gap;
        let mut gap = None;
        while let Some(message) = fresh.read()? {
            let entry = Entry::from(message);
            if std::mem::take(&mut is_after_gap) {
                gap = Some(self.push_gap(entry.stamp)?);
            }
            self.push(&entry)?;
        }
        self.position.ended = !self.container.is_running();
        self.position.name = self.container.name().to_owned();
        self.commit()?;
        self.outcome.gaps.extend(gap);
        Ok(())
    }

    fn push_gap(&mut self, next: &str) -> Result<String> {
        let text = format!(
            "{} ({}): lines between {} and {next} may be missing: the engine had discarded what was archived last",
            self.container.name(),
            short(&self.container.id),
            self.position.stamp,
        );
        self.add(&Entry {
            stamp: next,
            origin: Origin::Gap,
            ends_line: true,
            text: text.as_bytes(),
        })?;
        self.archive.count_gap();
        Ok(text)
    }

    fn push(&mut self, entry: &Entry<'_>) -> Result<()> {
        let fingerprint = self.add(entry)?;
        self.position.trail.push(fingerprint);
        entry.stamp.clone_into(&mut self.position.stamp);
        Ok(())
    }

    fn add(&mut self, entry: &Entry<'_>) -> Result<u64> {
        if self.block.lines.len() >= BLOCK {
            self.flush()?;
            if self.committed.elapsed() >= COMMIT_EVERY {
                self.commit()?;
            }
        }
        let is_same = |day: &Day| entry.stamp.starts_with(&**day);
        if !self.position.day.as_ref().is_some_and(is_same) {
            let day = day(entry.stamp, self.position.day.as_ref());
            if day != self.block.day {
                self.flush()?;
                self.block.day = day.clone();
            }
            self.position.day = Some(day);
        }
        let line = self.block.push(entry);
        self.uncommitted.0 += 1;
        self.uncommitted.1 += line.len() as u64 + 1;
        Ok(fingerprint(line))
    }

    fn flush(&mut self) -> Result<()> {
        if self.block.head.entries == 0 {
            return Ok(());
        }
        let frame = self.block.pack()?;
        self.archive.append(&self.block.day, &frame)
    }

    fn commit(&mut self) -> Result<()> {
        self.flush()?;
        // A container that never logged anything needs no position.
        let change = (!self.position.stamp.is_empty())
            .then(|| (self.container.id.as_str(), self.position.clone()));
        if change.as_ref().map(|(_, position)| position)
            != self.archive.position(&self.container.id)
            || self.uncommitted.0 > 0
        {
            self.archive.commit(change)?;
        }
        let (entries, bytes) = std::mem::take(&mut self.uncommitted);
        self.outcome.entries += entries;
        self.outcome.bytes += bytes;
        self.committed = Instant::now();
        Ok(())
    }
}
