//! Reads archive and engine as one log, in the order of time.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use memchr::memmem::Finder;

use super::cursor::Position;
use super::entry::{Entry, fingerprint};
use super::frame::{self, Place};
use super::fresh::Fresh;
use super::join::{Joiner, Line};
use super::stored;
use super::when::When;
use crate::docker::container::Container;
use crate::docker::log::Begin;
use crate::process::check_interrupted;

/// What is wanted.
#[derive(Debug, Default)]
pub struct Query {
    /// No line before.
    pub since: Option<When>,
    /// No line at this time or later.
    pub until: Option<When>,
    /// Only lines with this.
    pub grep: Option<Pattern>,
    /// Only the last lines of each service.
    pub tail: Option<usize>,
}

impl Query {
    /// Whether it only wants the last lines, whatever stands in them.
    fn is_tail(&self) -> Option<usize> {
        self.tail.filter(|_| self.grep.is_none() && self.until.is_none())
    }

    /// Whether `line` is wanted.
    pub fn takes(&self, line: &Line) -> bool {
        self.since.as_ref().is_none_or(|since| line.stamp >= since.0)
            && self.until.as_ref().is_none_or(|until| line.stamp < until.0)
            && self.grep.as_ref().is_none_or(|pattern| pattern.is_in(&line.text))
    }

    fn may_be_in(&self, place: &Place) -> bool {
        self.since.as_ref().is_none_or(|since| place.head.to >= since.0)
            && self.until.as_ref().is_none_or(|until| place.head.from < until.0)
    }
}

/// What lines must contain.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// These characters.
    Words(Box<Finder<'static>>),
    /// What this expression matches.
    Expression(regex_lite::Regex),
}

impl Pattern {
    fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Words(words) => words.find(text).is_some(),
            Self::Expression(expression) => expression.is_match(&String::from_utf8_lossy(text)),
        }
    }
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if regex_lite::escape(text) == text {
            return Ok(Self::Words(Box::new(Finder::new(text).into_owned())));
        }
        let expression = regex_lite::Regex::new(text);
        expression
            .map(Self::Expression)
            .map_err(|error| format!("`{text}` is not a regular expression: {error}"))
    }
}

/// The log of one container.
#[derive(Debug)]
pub struct Source {
    /// The service, by its number in the order given.
    pub service: usize,
    /// The container's full id.
    pub container: String,
    frames: VecDeque<(Rc<File>, Place)>,
    block: Vec<u8>,
    at: usize,
    /// Whether `block` has parts of lines.
    has_parts: bool,
    live: Option<Fresh>,
    /// Where the engine's part ends so far.
    pub position: Option<Position>,
    joiner: Joiner,
    next: Option<Line>,
}

/// The sources of a service, and what could not be read of its archive.
///
/// # Errors
/// When there is no permission, or the engine gives no log.
pub fn sources(
    service: usize,
    folder: &Path,
    containers: &[&Container],
    query: &Query,
) -> Result<(Vec<Source>, Vec<String>)> {
    let (cursor, warning) = stored::load(folder)?;
    let mut warnings = Vec::from_iter(warning);
    let mut frames: BTreeMap<String, VecDeque<_>> = BTreeMap::new();
    for name in stored::files(folder)? {
        let path = folder.join(&name);
        let file = Rc::new(stored::open(&path)?);
        // What lies beyond is being written.
        let length = cursor.files.get(&name).copied().unwrap_or(u64::MAX);
        let length = length.min(file.metadata().map_or(0, |facts| facts.len()));
        let (places, damage) = stored::frames(&file, length);
        warnings.extend(
            damage.map(|error| {
                format!("{}: {error:#}; what follows there is left out", path.display())
            }),
        );
        for place in places.into_iter().filter(|place| query.may_be_in(place)) {
            frames
                .entry(place.head.container.clone())
                .or_default()
                .push_back((Rc::clone(&file), place));
        }
    }
    if let Some(tail) = query.is_tail() {
        frames.values_mut().for_each(|frames| keep_last(frames, tail));
    }
    let mut sources = Vec::new();
    for container in containers {
        let position = cursor.containers.get(&container.id).cloned();
        let live = open_live(container, position.as_ref(), query)?;
        let frames = frames.remove(&container.id).unwrap_or_default();
        sources.push(Source::new(service, &container.id, frames, Some((live, position))));
    }
    sources.extend(frames.into_iter().map(|(id, frames)| Source::new(service, &id, frames, None)));
    Ok((sources, warnings))
}

fn open_live(container: &Container, position: Option<&Position>, query: &Query) -> Result<Fresh> {
    match (position, query.is_tail(), &query.since) {
        (None, Some(tail), _) => Fresh::begin(container, Begin::Last(tail as u64)),
        (None, None, Some(since)) => Fresh::begin(container, Begin::Since(&since.0)),
        _ => Fresh::open(container, position),
    }
}

/// Leaves out frames that cannot have any of the last `tail` entries.
fn keep_last(frames: &mut VecDeque<(Rc<File>, Place)>, tail: usize) {
    // Parts of a line make one when it is shown.
    let whole = |place: &Place| place.head.entries - place.head.parts;
    let mut left: u64 = frames.iter().map(|(_, place)| whole(place)).sum();
    while let Some((_, place)) = frames.front() {
        left -= whole(place);
        if left < tail as u64 {
            return;
        }
        frames.pop_front();
    }
}

impl Source {
    fn new(
        service: usize,
        container: &str,
        frames: VecDeque<(Rc<File>, Place)>,
        live: Option<(Fresh, Option<Position>)>,
    ) -> Self {
        let (live, position) = live.unzip();
        Self {
            service,
            container: container.to_owned(),
            frames,
            block: Vec::new(),
            at: 0,
            has_parts: false,
            live,
            position: position.flatten(),
            joiner: Joiner::default(),
            next: None,
        }
    }

    /// Reads on to the next line that is wanted.
    fn advance(&mut self, query: &Query, damaged: &mut Vec<String>) -> Result<()> {
        let mut is_at_end = false;
        loop {
            self.next = std::iter::from_fn(|| self.joiner.pop()).find(|line| query.takes(line));
            if self.next.is_some() || is_at_end {
                return Ok(());
            }
            if self.at < self.block.len() {
                self.take_archived(query);
            } else if let Some((file, place)) = self.frames.pop_front() {
                check_interrupted()?;
                self.unpack(&file, &place, damaged);
            } else if !self.take_live()? {
                self.joiner.finish();
                is_at_end = true;
            }
        }
    }

    fn unpack(&mut self, file: &File, place: &Place, damaged: &mut Vec<String>) {
        self.at = 0;
        self.has_parts = place.head.parts > 0 || self.joiner.has_begun();
        self.block = frame::unpack(file, place).unwrap_or_else(|error| {
            damaged.push(format!("{error:#}; its {} entries are left out", place.head.entries));
            Vec::new()
        });
    }

    fn take_archived(&mut self, query: &Query) {
        // Most lines are not wanted, so the next that may be is looked for in the whole block.
        if let (Some(Pattern::Words(words)), false) = (&query.grep, self.has_parts) {
            let Some(found) = words.find(&self.block[self.at..]) else {
                self.at = self.block.len();
                return;
            };
            let line = memchr::memrchr(b'\n', &self.block[..self.at + found]);
            self.at = line.map_or(0, |end| end + 1).max(self.at);
        }
        let rest = &self.block[self.at..];
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        if let Some(entry) = Entry::parse(&rest[..length]) {
            self.joiner.push(&entry);
        }
        self.at += length + 1;
    }

    /// Whether the engine had something.
    fn take_live(&mut self) -> Result<bool> {
        let Some(live) = &mut self.live else { return Ok(false) };
        let Some(message) = live.read()? else {
            self.live = None;
            return Ok(false);
        };
        let entry = Entry::from(message);
        let position = self.position.get_or_insert_with(Position::default);
        remember(position, &entry);
        self.joiner.push(&entry);
        Ok(true)
    }
}

/// Moves `position` behind `entry`.
fn remember(position: &mut Position, entry: &Entry<'_>) {
    let mut line = Vec::new();
    entry.write(&mut line);
    position.trail.push(fingerprint(&line));
    entry.stamp.clone_into(&mut position.stamp);
}

/// Hands over every wanted line of `sources` in the order of time, with the number of its
/// service, and then says what was damaged.
///
/// # Errors
/// When the engine breaks off, or the user interrupts.
pub fn merge(
    sources: &mut [Source],
    query: &Query,
    mut take: impl FnMut(usize, Line) -> Result<()>,
) -> Result<Vec<String>> {
    let mut damaged = Vec::new();
    for source in &mut *sources {
        source.advance(query, &mut damaged)?;
    }
    let mut last = Last::new(query.tail);
    // A source's own order is kept, also where its stamps go back.
    while let Some(source) =
        sources.iter_mut().filter(|source| source.next.is_some()).min_by(|a, b| {
            a.next.as_ref().map(|line| &line.stamp).cmp(&b.next.as_ref().map(|line| &line.stamp))
        })
    {
        if let Some(line) = source.next.take() {
            last.push(source.service, line, &mut take)?;
        }
        source.advance(query, &mut damaged)?;
    }
    last.finish(&mut take)?;
    Ok(damaged)
}

/// The last lines of each service, or all.
struct Last {
    tail: Option<usize>,
    /// Lines with their place in the order of all.
    kept: BTreeMap<usize, VecDeque<(u64, Line)>>,
    count: u64,
}

impl Last {
    fn new(tail: Option<usize>) -> Self {
        Self { tail, kept: BTreeMap::new(), count: 0 }
    }

    fn push(
        &mut self,
        service: usize,
        line: Line,
        take: &mut impl FnMut(usize, Line) -> Result<()>,
    ) -> Result<()> {
        let Some(tail) = self.tail else { return take(service, line) };
        let kept = self.kept.entry(service).or_default();
        kept.push_back((self.count, line));
        self.count += 1;
        if kept.len() > tail {
            kept.pop_front();
        }
        Ok(())
    }

    fn finish(self, take: &mut impl FnMut(usize, Line) -> Result<()>) -> Result<()> {
        let of_service = |(service, lines): (usize, VecDeque<_>)| {
            lines.into_iter().map(move |(place, line)| (place, service, line))
        };
        let mut lines: Vec<_> = self.kept.into_iter().flat_map(of_service).collect();
        lines.sort_by_key(|(place, ..)| *place);
        lines.into_iter().try_for_each(|(_, service, line)| take(service, line))
    }
}
