//! Archives what the containers of a stack have logged since the last time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::archive::{Archive, explain};
use super::cursor::{Position, Trail};
use super::entry::{Entry, Origin, fingerprint};
use super::frame::{self, BLOCK, Head};
use super::fresh::Fresh;
use crate::context::Context;
use crate::docker::container::Container;
use crate::host::files::make_folder;
use crate::host::lock::{IfHeld, Lock};
use crate::process::{Cmd, check_interrupted};
use crate::report::Report;
use crate::report::finding::Problem;
use crate::stack::Stack;
use crate::stack::manifest::LogBounds;

/// Time after which what was archived is committed: so much work at most is done again after a
/// run was killed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// What is going to be archived of one service.
#[derive(Debug)]
pub struct Task {
    /// The service, or the container's name where it has none.
    pub service: String,
    /// Where its archive lies.
    pub folder: PathBuf,
    /// How long it is kept.
    pub bounds: LogBounds,
    /// Its containers; none when only an archive is left of it.
    pub containers: Vec<Container>,
}

/// What was archived of one service.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// Entries archived now.
    pub entries: u64,
    /// Their size.
    pub bytes: u64,
    /// The size of the whole archive afterwards.
    pub archive_bytes: u64,
    /// Where lines may be missing, each a sentence.
    pub gaps: Vec<String>,
    /// Files removed for their age or for the size of the archive.
    pub removed: Vec<String>,
    /// What was wrong and was mended.
    pub warnings: Vec<String>,
}

/// Where the archives of `stack` lie.
pub fn folder(stack: &Stack) -> PathBuf {
    stack.data_dir().join("logs").join(stack.name())
}

/// What archives the logs of `stack` before its containers go, where its logs are archived at all.
///
/// # Errors
/// When our own program cannot be found.
pub fn step(cx: &Context, stack: &Stack) -> Result<Option<(String, Cmd)>> {
    if !folder(stack).is_dir() {
        return Ok(None);
    }
    let own = std::env::current_exe().context("looking for our own program")?;
    let mut cmd = Cmd::new(own).args(["rotate-logs", "--quiet", stack.name()]).dir(&cx.root);
    if let Some(project) = &cx.overrides.project {
        cmd = cmd.args(["--project", project]);
    }
    if let Some(data_dir) = &cx.overrides.data_dir {
        cmd = cmd.arg("--data-dir").arg(data_dir);
    }
    Ok(Some((format!("archive the last lines that {} has logged", stack.name()), cmd)))
}

/// The services of which there is an archive.
///
/// # Errors
/// `logs.permission`, or what else went wrong.
pub fn archived_services(stack: &Stack) -> Result<Vec<String>> {
    let folder = folder(stack);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(explain(error, &folder)),
    };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> =
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// What there is to archive: a task for each service with a container or an archive.
///
/// # Errors
/// As [`archived_services`].
pub fn tasks(stack: &Stack, containers: Vec<Container>) -> Result<Vec<Task>> {
    let mut by_service: BTreeMap<String, Vec<Container>> = BTreeMap::new();
    for container in containers {
        let service = container.service().unwrap_or(container.name()).to_owned();
        by_service.entry(service).or_default().push(container);
    }
    for service in archived_services(stack)? {
        by_service.entry(service).or_default();
    }
    let folder = folder(stack);
    let task = |(service, containers): (String, Vec<Container>)| Task {
        folder: folder.join(&service),
        bounds: stack.log_bounds(&service),
        service,
        containers,
    };
    Ok(by_service.into_iter().map(task).collect())
}

/// Takes the lock of the stack's archives, waiting while another run holds it. It is not the
/// project's: a backup that takes an hour must not keep logs from being archived.
///
/// # Errors
/// `logs.no-directory` before `setup`; `logs.permission`; when the user interrupts.
pub fn lock(stack: &Stack, report: &Report) -> Result<Lock> {
    let folder = folder(stack);
    let parent = folder.parent().unwrap_or(Path::new("/"));
    if let Err(error) = std::fs::metadata(parent) {
        if error.kind() != ErrorKind::NotFound {
            return Err(explain(error, parent));
        }
        return Err(Problem::prerequisite(
            "logs.no-directory",
            format!("there is no {} to archive logs in", parent.display()),
        )
        .mend(format!("cargo xtask setup {}", stack.short()))
        .into());
    }
    make_folder(&folder, 0o700).map_err(|error| explain(error, &folder))?;
    let path = folder.join("lock");
    let waiting = |holder: &str| report.progress(format!("waiting for {holder}"));
    Lock::take(&path, "cargo xtask rotate-logs", IfHeld::Wait, waiting).map_err(|error| match error
        .downcast()
    {
        Ok(io) => explain(io, &path),
        Err(error) => error,
    })
}

/// Archives what is new of one service. Only for the holder of the lock.
///
/// # Errors
/// The first container's whose log cannot be archived, after the others were.
pub fn rotate(stack: &Stack, task: &Task) -> Result<Outcome> {
    let mut archive = Archive::open(&task.folder, &task.bounds)?;
    let mut outcome = Outcome {
        stack: stack.name().to_owned(),
        service: task.service.clone(),
        ..Outcome::default()
    };
    let mut failed = None;
    for container in &task.containers {
        let mut writer = Writer::new(&mut archive, container, &mut outcome);
        if let Err(error) = writer.run() {
            let name = container.name().to_owned();
            archive.roll_back()?;
            check_interrupted()?;
            failed.get_or_insert(error.context(format!("archiving the log of {name}")));
        }
    }
    note_removed(&mut archive, task, &mut outcome)?;
    outcome.removed = archive.retain(&task.bounds, today())?;
    outcome.archive_bytes = archive.size();
    outcome.warnings = std::mem::take(&mut archive.warnings);
    match failed {
        Some(error) => Err(error),
        None => Ok(outcome),
    }
}

/// Names what was lost with containers that were removed before their last lines were archived.
fn note_removed(archive: &mut Archive, task: &Task, outcome: &mut Outcome) -> Result<()> {
    let there: BTreeSet<_> =
        task.containers.iter().map(|container| container.id.as_str()).collect();
    let gone: Vec<_> = archive
        .containers()
        .filter(|(id, _)| !there.contains(id.as_str()))
        .map(|(id, position)| (id.clone(), position.clone()))
        .collect();
    for (id, position) in gone {
        archive.forget(&id);
        if position.ended {
            archive.commit(None)?;
            continue;
        }
        let text = format!(
            "the container {} ({}) was removed: what it logged after {} was not archived",
            position.name,
            short(&id),
            position.stamp
        );
        let mut block = Block::new(&id, day(&position.stamp, Some(&position.day)));
        let stamp = position.stamp.as_str();
        block.push(&Entry { stamp, origin: Origin::Gap, ends_line: true, text: text.as_bytes() });
        let frame = block.pack()?;
        archive.append(&block.day, &frame)?;
        archive.count_gap();
        archive.commit(None)?;
        outcome.gaps.push(text);
    }
    Ok(())
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// The file that an entry goes to: of its own day, but never of one before the entry that came
/// before it, whatever the clock did, and never of a day to come.
fn day(stamp: &str, before: Option<&str>) -> String {
    let own = stamp.get(..10).unwrap_or_default();
    let day = before.map_or(own, |before| before.max(own));
    day.to_owned().min(today().to_string())
}

/// Entries that become one frame.
#[derive(Debug)]
struct Block {
    day: String,
    head: Head,
    lines: Vec<u8>,
}

impl Block {
    fn new(container: &str, day: String) -> Self {
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
    fn push(&mut self, entry: &Entry<'_>) -> &[u8] {
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
    fn pack(&mut self) -> Result<Vec<u8>> {
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
struct Writer<'a> {
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
    fn new(archive: &'a mut Archive, container: &'a Container, outcome: &'a mut Outcome) -> Self {
        let start = || Position {
            name: container.name().to_owned(),
            stamp: String::new(),
            day: String::new(),
            trail: Trail::default(),
            ended: false,
        };
        let position = archive.position(&container.id).cloned().unwrap_or_else(start);
        let block = Block::new(&container.id, position.day.clone());
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

    fn run(&mut self) -> Result<()> {
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
        if !entry.stamp.starts_with(&self.position.day) || self.position.day.is_empty() {
            let day = day(entry.stamp, Some(&self.position.day));
            if day != self.block.day {
                self.flush()?;
                day.clone_into(&mut self.block.day);
                self.position.day = day;
            }
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
