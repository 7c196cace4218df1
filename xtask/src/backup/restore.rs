//! Bringing a set back, or leaving what was there.
//!
//! The new data is made beside the old: unpacked, started alone, given today's passwords, compared
//! with the manifest, stopped. Only then the containers go and the directories are exchanged, each
//! step in the journal first. The old data stays until it is told to go.

pub mod journal;
pub mod kept;
mod refuse;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::journal::{Directory, Journal, Phase, helper, removal};
use super::examine::{Examination, Examined, Extent};
use super::folder::Folder;
use super::object::Keys;
use super::proof::Answers;
use super::server::{self, Server};
use super::set::{ObjectRecord, ServiceRecord, stamp};
use super::settings;
use super::signature::Believed;
use super::unpack::{Target, content_bytes};
use crate::context::Context;
use crate::data::{Absence, Claim};
use crate::docker::container::Container;
use crate::docker::location::Location;
use crate::host::files::sync_disk;
use crate::logs;
use crate::plan::Plan;
use crate::report::finding::{Finding, Problem, Severity};
use crate::report::units::Bytes;
use crate::stack::Stack;
use crate::stack::manifest::{DataDirectory, Service};

/// What is to be restored.
#[derive(Debug)]
pub struct Request<'a> {
    /// Where to.
    pub stack: &'a Stack,
    /// Where the set lies.
    pub folder: &'a Folder,
    /// From what.
    pub set: Believed<'a>,
    /// Which services; all of the set where none is named.
    pub only: &'a [String],
    /// What opens encrypted objects.
    pub keys: Keys,
    /// How much is asked of the new data.
    pub extent: Extent,
}

/// A service that is restored.
struct Item<'a> {
    service: &'a Service,
    record: &'a ServiceRecord,
    held: Box<dyn Server>,
    objects: Vec<&'a ObjectRecord>,
    data: &'a DataDirectory,
    image: String,
}

impl<'a> Request<'a> {
    fn items(&self) -> Result<Vec<Item<'a>>> {
        let mut records: Vec<_> = self.set.get().manifest.services.iter().collect();
        if !self.only.is_empty() {
            records.clear();
            for name in self.only {
                records.push(self.set.get().service(name)?);
            }
        }
        records.into_iter().map(|record| self.item(record)).collect()
    }

    fn item(&self, record: &'a ServiceRecord) -> Result<Item<'a>> {
        let service = self.stack.service(&record.name)?;
        Ok(Item {
            service,
            record,
            held: server::read(&record.facts)?,
            objects: self.set.get().data(&record.name)?,
            data: service.data.as_ref().context("stacks.toml names no data directory")?,
            image: self.stack.image(service)?,
        })
    }

    /// What will be done, for people.
    ///
    /// # Errors
    /// When the set does not fit the stack.
    pub fn steps(&self) -> Result<Vec<String>> {
        let mut steps = Vec::new();
        for item in self.items()? {
            let path = self.stack.data_path(item.data);
            steps.push(format!(
                "{}: {} of {} goes to {}; what is there now is kept beside it",
                item.service.name,
                Bytes(content_bytes(&item.objects)),
                self.set.manifest.started,
                path.display()
            ));
        }
        Ok(steps)
    }

    /// What is set otherwise today than when the set was made.
    ///
    /// # Errors
    /// When the set does not fit the stack.
    pub fn settings(&self) -> Result<Vec<Finding>> {
        let items = self.items()?;
        let findings = items
            .iter()
            .map(|item| settings::findings(self.stack, item.service, &item.record.settings));
        Ok(findings.collect::<Result<Vec<_>>>()?.concat())
    }

    /// What would be done, with the commands.
    ///
    /// # Errors
    /// When the set does not fit the stack.
    pub fn plan(&self, cx: &Context, claim: &Claim) -> Result<Plan> {
        let items = self.items()?;
        let journal = self.journal(&items)?;
        let mut plan = Plan::new();
        plan.run("make directories beside those in use", self.staging(&items, &journal, claim)?);
        plan.append(without_containers(cx, self.stack, &journal)?);
        plan.run("exchange the directories", journal.swap(self.stack, claim)?);
        Ok(plan)
    }

    /// Does it, up to the exchanged directories, and says what was found of the new data. Only for the holder of both locks, after
    /// [`Request::refuse`].
    ///
    /// # Errors
    /// When anything fails; before the exchange nothing has changed then.
    pub fn carry_out(&self, cx: &Context, claim: &Claim) -> Result<Vec<Finding>> {
        let items = self.items()?;
        let mut journal = self.journal(&items)?;
        journal.begin(self.stack)?;
        let proven = match self.stage(cx, &items, &journal, claim) {
            Ok(proven) => proven,
            Err(error) => {
                settle(cx, self.stack).context("removing what was staged")?;
                return Err(error.context("nothing has changed"));
            }
        };
        journal.not_looked_at = Answers::of(&proven).not_looked_at;
        journal.enter(self.stack, Phase::Swapping)?;
        let mut plan = without_containers(cx, self.stack, &journal)?;
        plan.run("exchange the directories", journal.swap(self.stack, claim)?);
        plan.carry_out(&cx.report)?;
        journal.enter(self.stack, Phase::Done)?;
        Ok(proven)
    }

    fn journal(&self, items: &[Item]) -> Result<Journal> {
        let mut time = jiff::Timestamp::now();
        let is_taken = |time| {
            let place =
                |item: &Item| Directory::new(&item.record.name, &item.data.path, &stamp(time));
            let places = items.iter().filter_map(|item| place(item).ok());
            places
                .flat_map(|one| [one.before, one.staging, one.undone])
                .any(|name| self.stack.data_dir().join(name).exists())
        };
        // The clock may have gone back to the time of an earlier restore.
        while is_taken(time) {
            time += Duration::from_secs(1);
        }
        let now = stamp(time);
        let directory = |item: &Item| Directory::new(&item.record.name, &item.data.path, &now);
        Ok(Journal {
            set: self.set.id.clone(),
            phase: Phase::Staging,
            directories: items.iter().map(directory).collect::<Result<_>>()?,
            kept: Vec::new(),
            not_looked_at: Vec::new(),
            last: None,
        })
    }

    fn staging(
        &self,
        items: &[Item],
        journal: &Journal,
        claim: &Claim,
    ) -> Result<crate::process::Cmd> {
        const MAKE: &str = r#"while [ $# -gt 0 ]; do mkdir "/data/$1"; chown "$2" "/data/$1"; chmod "$3" "/data/$1"; shift 3; done"#;
        let args = items.iter().zip(&journal.directories).flat_map(|(item, directory)| {
            let owner = Stack::owner(item.data).to_string();
            [directory.staging.to_string(), owner, format!("{:04o}", item.data.mode)]
        });
        Ok(helper(self.stack, claim)?.cmd(MAKE, &args.collect::<Vec<_>>()))
    }

    /// What was found of the new data, which speaks for it.
    fn stage(
        &self,
        cx: &Context,
        items: &[Item],
        journal: &Journal,
        claim: &Claim,
    ) -> Result<Vec<Finding>> {
        self.staging(items, journal, claim)?
            .run()
            .context("making directories beside those in use")?;
        let project = self.stack.project();
        let mut proven = Vec::new();
        for (item, directory) in items.iter().zip(&journal.directories) {
            let name = &item.service.name;
            let place = self.stack.data_dir().join(&directory.staging);
            let place = place.to_str().context("a path for Docker must be UTF-8")?;
            let owner = Stack::owner(item.data);
            let target = Target { project: &project, image: &item.image, place, owner };
            target.unpack(&cx.report, self.folder, &item.objects, &self.keys)?;
            cx.report.done(format!("unpack {name} ({})", Bytes(content_bytes(&item.objects))));
            let held = &*item.held;
            let (stack, service) = (self.stack, item.service);
            let examination = Examination { stack, service, held, target: &target };
            let Examined { server, findings } = examination
                .run(self.extent, &mut || {})
                .with_context(|| format!("starting {name} alone"))?;
            proven.extend(accept(cx, name, findings)?);
            let server = server.context("it does not run")?;
            held.adapt(self.stack, item.service, server.client())?;
            server.stop().with_context(|| format!("stopping {name}"))?;
        }
        sync(&self.stack.data_dir())?;
        Ok(proven)
    }

    /// Questions to the servers that have been started on the restored data.
    ///
    /// # Errors
    /// When one does not hold what the manifest says.
    pub fn prove(&self, cx: &Context) -> Result<Vec<Finding>> {
        let containers = cx.containers(self.stack)?;
        let mut proven = Vec::new();
        for item in self.items()? {
            let name = &item.service.name;
            let running = containers.iter().find(|one| one.service() == Some(name));
            let running = running.with_context(|| format!("{name} has no container"))?;
            let found = item.held.prove(self.stack, item.service, &running.id)?;
            proven.extend(accept(cx, name, found)?);
        }
        Ok(proven)
    }
}

/// Says what was found of `service`; it, unless something speaks against the data.
fn accept(cx: &Context, service: &str, findings: Vec<Finding>) -> Result<Vec<Finding>> {
    let findings: Vec<_> = findings.into_iter().map(|one| one.about(service)).collect();
    for finding in &findings {
        cx.report.finding(finding);
    }
    let is_wrong = |finding: &&Finding| finding.severity == Severity::Error;
    let Some(first) = findings.iter().find(is_wrong) else { return Ok(findings) };
    Err(if Answers::of(&findings).refuted > 0 {
        let found = format!("the restored {service} is not what the manifest says: {first}");
        Problem::failed("restore.differs", found)
    } else {
        let found = format!("the restored {service} could not be looked at: {first}");
        Problem::failed("restore.not-looked-at", found)
    }
    .into())
}

/// Everything written to the file system of `path` is on disk; where it is not this machine's, the
/// helper that exchanges the directories sees to that.
fn sync(path: &Path) -> Result<()> {
    if !Location::current()?.shares_owners() {
        return Ok(());
    }
    sync_disk(path).with_context(|| format!("syncing {}", path.display()))
}

/// Finishes or undoes what an interrupted restore of `stack` has left, and says which. Only for
/// the holder of the project's lock, after the left-over helpers have gone.
///
/// # Errors
/// When that cannot be done.
pub fn settle(cx: &Context, stack: &Stack) -> Result<()> {
    let Some(mut journal) = Journal::load(stack)? else { return Ok(()) };
    let claim = || Claim::of(stack, Absence::Refused);
    let (what, cmd, phase) = match journal.phase {
        Phase::Done | Phase::Undone => return Ok(()),
        Phase::Staging => {
            let staged: Vec<_> =
                journal.directories.iter().map(|directory| directory.staging.clone()).collect();
            let what = "undo an interrupted restore: remove what it had made beside the data, which it had not touched";
            (what, removal(stack, &claim()?, &staged)?, None)
        }
        Phase::Swapping => {
            let what =
                "finish an interrupted restore: the new data was whole, exchange the directories";
            (what, journal.swap(stack, &claim()?)?, Some(Phase::Done))
        }
        Phase::Undoing => {
            let what = "finish an interrupted `restore --undo`: put the old data back";
            (what, journal.swap_back(stack, &claim()?)?, Some(Phase::Undone))
        }
    };
    let mut plan = Plan::new();
    if phase.is_some() {
        // Some may run on a stray empty directory, or still on the data that goes.
        plan = without_containers(cx, stack, &journal)?;
    }
    plan.run(what, cmd);
    cx.execute(plan)?;
    match phase {
        _ if cx.dry_run => Ok(()),
        Some(phase) => journal.enter(stack, phase),
        None => journal.abandon(stack),
    }
}

/// Takes away the containers of the services that the journal is about; their logs stay.
fn without_containers(cx: &Context, stack: &Stack, journal: &Journal) -> Result<Plan> {
    let is_meant = |container: &&Container| {
        let mut services = journal.directories.iter().map(|one| &*one.service);
        services.any(|service| container.service() == Some(service))
    };
    let containers = cx.containers(stack)?;
    let meant: Vec<_> = containers.iter().filter(is_meant).collect();
    Ok(logs::removal::removal(stack, &meant, ""))
}
