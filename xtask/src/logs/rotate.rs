//! Archives what the containers of a stack have logged since the last time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::archive::{Archive, surplus};
use super::day::ArchiveFile;
use super::entry::{Entry, Origin};
use super::outcome::Outcome;
use super::stored::{explain, load};
use super::writer::{Block, Writer, day, short, today};
use crate::data::known;
use crate::docker::container::Container;
use crate::host::files::{list, make_folder};
use crate::host::lock::{Holder, IfHeld, Lock};
use crate::names::ServiceName;
use crate::process::check_interrupted;
use crate::report::Report;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::live::Live;
use crate::stack::Stack;
use crate::stack::manifest::LogBounds;

/// What is going to be archived of one service.
#[derive(Debug)]
pub struct Task {
    /// The service, or the container's name where it has none.
    pub service: ServiceName,
    /// Where its archive lies.
    pub folder: PathBuf,
    /// How long it is kept.
    pub bounds: LogBounds,
    /// Its containers; none when only an archive is left of it.
    pub containers: Vec<Container>,
}

/// Where the archives of `stack` lie.
pub fn folder(stack: &Stack) -> PathBuf {
    stack.data_dir().join("logs").join(stack.name())
}

impl Task {
    /// The files of its archive that have to go by now.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn surplus(&self) -> Result<Vec<ArchiveFile>> {
        match self.folder.is_dir() {
            true => Ok(surplus(&load(&self.folder)?.0, &self.bounds, today())),
            false => Ok(Vec::new()),
        }
    }
}

/// The services of which there is an archive.
///
/// # Errors
/// `logs.permission`, or what else went wrong.
pub fn archived_services(stack: &Stack) -> Result<Vec<ServiceName>> {
    let folder = folder(stack);
    let paths = match list(&folder) {
        Ok(paths) => paths,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(explain(error, &folder)),
    };
    // A link is none, whatever it leads to.
    let is_folder = |path: &PathBuf| path.symlink_metadata().is_ok_and(|facts| facts.is_dir());
    let name = |path: PathBuf| path.file_name()?.to_str()?.try_into().ok();
    Ok(paths.into_iter().filter(is_folder).filter_map(name).collect())
}

/// What there is to archive: a task for each service with a container or an archive.
///
/// # Errors
/// As [`archived_services`].
pub fn tasks(stack: &Stack, containers: Vec<Container>) -> Result<Vec<Task>> {
    let mut by_service: BTreeMap<ServiceName, Vec<Container>> = BTreeMap::new();
    for container in containers {
        // Whoever makes a container writes its labels; the engine sees to its name.
        let service = container.service().and_then(|service| service.try_into().ok());
        let service = service.map_or_else(|| container.name().try_into(), Ok)?;
        by_service.entry(service).or_default().push(container);
    }
    for service in archived_services(stack)? {
        by_service.entry(service).or_default();
    }
    let folder = folder(stack);
    let task = |(service, containers): (ServiceName, Vec<Container>)| Task {
        folder: folder.join(&service),
        bounds: stack.log_bounds(&service),
        service,
        containers,
    };
    Ok(by_service.into_iter().map(task).collect())
}

/// What `rotate-logs` has to do: as [`tasks`], but of a service that is not archived only what an
/// earlier setting has left there, which ages as everything else.
///
/// # Errors
/// As [`archived_services`].
pub fn due(stack: &Stack, containers: Vec<Container>) -> Result<Vec<Task>> {
    let mut tasks = tasks(stack, containers)?;
    for task in tasks.iter_mut().filter(|task| !stack.archives_log(&task.service)) {
        task.containers.clear();
    }
    tasks.retain(|task| !task.containers.is_empty() || task.folder.is_dir());
    Ok(tasks)
}

/// Takes the lock of the stack's archives, waiting while another run holds it. It is not the
/// project's: a backup that takes an hour must not keep logs from being archived.
///
/// # Errors
/// `logs.no-directory` before `setup`; `data.gone` where its disk is not mounted; `logs.permission`;
/// when the user interrupts.
fn lock(stack: &Stack, report: &Report) -> Result<Lock> {
    known::refuse_gone(stack)?;
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
        .mend(Xtask::Setup(stack.on()))
        .into());
    }
    make_folder(&folder, 0o700).map_err(|error| explain(error, &folder))?;
    let path = folder.join("lock");
    let waiting = |holder: &Holder| report.progress(format!("waiting for {holder}"));
    Lock::take(&path, "rotate-logs", IfHeld::Wait, waiting).map_err(|error| {
        match error.downcast() {
            Ok(io) => explain(io, &path),
            Err(error) => error,
        }
    })
}

/// Carries out `tasks`: what was archived, and what kept a service from it. One that fails keeps
/// none of the others from being archived.
///
/// # Errors
/// `logs.no-directory` before `setup`; `logs.permission`; when the user interrupts.
pub fn archive(
    stack: &Stack,
    tasks: &[Task],
    report: &Report,
) -> Result<(Vec<Outcome>, Vec<anyhow::Error>)> {
    let _lock = lock(stack, report)?;
    let (mut outcomes, mut errors) = (Vec::new(), Vec::new());
    for task in tasks {
        check_interrupted()?;
        let mut live = Live::new(report);
        live.show(&format!("archiving the log of {}", task.service));
        match rotate(stack, task) {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => errors.push(error),
        }
    }
    for outcome in &outcomes {
        outcome.warnings.iter().for_each(|warning| report.warning(warning));
        let gaps = outcome.gaps.iter();
        gaps.for_each(|gap| report.warning(format!("{}: {gap}", outcome.service)));
    }
    Ok((outcomes, errors))
}

/// Ends with the first error; the others are said before.
///
/// # Errors
/// The first.
pub fn fail(errors: Vec<anyhow::Error>, report: &Report) -> Result<()> {
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else { return Ok(()) };
    errors.for_each(|error| report.warning(format!("{error:#}")));
    Err(first)
}

/// Archives what is new of one service. Only for the holder of the lock.
///
/// # Errors
/// The first container's whose log cannot be archived, after the others were.
fn rotate(stack: &Stack, task: &Task) -> Result<Outcome> {
    let mut archive = Archive::open(&task.folder, &task.bounds)?;
    let mut outcome = Outcome {
        stack: stack.name().to_owned(),
        service: task.service.to_string(),
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
    if stack.archives_log(&task.service) {
        note_removed(&mut archive, task, &mut outcome)?;
    }
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
        let mut block = Block::new(&id, day(&position.stamp, position.day.as_ref()));
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
