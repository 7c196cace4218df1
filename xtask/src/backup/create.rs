//! Making a set while the services run.

mod estimate;
mod writer;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;

use self::writer::Writer;
use super::config::Config;
use super::deduplication::Shared;
use super::folder::Folder;
use super::object::{DISK_FULL, Format, require_age};
use super::server::{Method, Part, Stream, Subject};
use super::set::{DataRecord, Manifest, Missing, SCHEMA, ServiceRecord, Set};
use super::{settings, signature, stack_files};
use crate::context::Context;
use crate::docker::container::{self, Container};
use crate::docker::image;
use crate::docker::transfer::Way;
use crate::plan::Plan;
use crate::process::{Cmd, check_interrupted};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Problem};
use crate::report::units::{Bytes, count};
use crate::secret::mask;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// What is to be backed up, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Its containers.
    pub containers: &'a [Container],
    /// The services.
    pub services: Vec<&'a Service>,
    /// Whether a person named them, so that all of them must be in the set.
    pub is_named: bool,
    /// Whether dumps are wanted too.
    pub logical: bool,
    /// How backups are made.
    pub config: &'a Config,
    /// Where they go.
    pub folder: &'a Folder,
    /// How objects are written.
    pub format: Format,
}

/// A backup that can be made: a dry run prints it, otherwise it is carried out.
#[derive(Debug)]
pub struct Creation<'a> {
    request: Request<'a>,
    jobs: Vec<Job<'a>>,
    /// What will not be in it.
    pub missing: Vec<Missing>,
    shared: Shared,
    configuration: Cmd,
}

/// A service and what its server will give.
#[derive(Debug)]
struct Job<'a> {
    subject: Subject<'a>,
    streams: Vec<Stream>,
}

impl<'a> Request<'a> {
    /// Asks every server what it will give, and whether there is room for it. Changes nothing.
    ///
    /// # Errors
    /// When none of the services, or one that was named, runs and answers, or the backup cannot be
    /// made.
    pub fn prepare(self, cx: &Context) -> Result<Creation<'a>> {
        if !self.format.recipients.is_empty() {
            require_age()?;
        }
        let (mut jobs, mut missing) = (Vec::new(), Vec::new());
        for service in &self.services {
            match self.job(service) {
                Ok(job) => jobs.push(job),
                Err(error) if self.needs_all() => return Err(error),
                Err(error) => missing.push(left_out(cx, service, error)?),
            }
        }
        if jobs.is_empty() {
            let found = "no service could be backed up; see above";
            return Err(Problem::failed("backup.not-running", found)
                .mend(Xtask::Up(self.stack.on()))
                .into());
        }
        let shared = Shared::of(self.folder, &self.stack.project(), &self.format.recipients)?;
        let configuration = stack_files::tar(cx, self.stack)?;
        let creation = Creation { request: self, jobs, missing, shared, configuration };
        creation.refuse_full_disk()?;
        Ok(creation)
    }

    /// Whether there is no set without one of the services.
    fn needs_all(&self) -> bool {
        self.is_named || self.services.len() == 1
    }

    fn job(&self, service: &'a Service) -> Result<Job<'a>> {
        let name = &service.name;
        let method = service.backup.as_deref().ok_or_else(|| {
            Problem::usage("backup.no-method", format!("{name} keeps nothing that is backed up"))
        })?;
        let subject = Subject {
            stack: self.stack,
            service,
            container: self.running(service)?,
            method: Method::named(method)?,
            config: self.config,
            logical: self.logical,
        };
        let streams =
            (subject.method.streams)(&subject).with_context(|| format!("asking {name}"))?;
        Ok(Job { subject, streams })
    }

    fn running(&self, service: &Service) -> Result<&'a Container> {
        container::running(self.containers, &service.name).ok_or_else(|| {
            let (name, project) = (&service.name, self.stack.project());
            let found = format!("{name} of {project} does not run, so it cannot be backed up");
            let leave_out = format!("leave it out: {}", Xtask::BackupOnly(self.stack.on()));
            Problem::failed("backup.not-running", found)
                .mend(Advice::from(Xtask::Up(self.stack.on())).or(leave_out))
                .into()
        })
    }
}

impl Creation<'_> {
    /// What is done, with the commands that give the data.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::new();
        for Job { subject, streams } in &self.jobs {
            for stream in streams {
                let new = self.shared.without(&subject.service.name, &stream.parts);
                if let Some(step) = step(&subject.service.name, stream, &new) {
                    let args = stream.args_for(&new);
                    plan.run(step, stream.helper.cmd(stream.script.trim(), &args));
                }
            }
        }
        plan.run("write the configuration", self.configuration.clone());
        plan
    }

    /// Makes the set. Only for the holder of the folder's lock and the project's.
    ///
    /// # Errors
    /// When anything fails; there is no set then, and no object of it.
    pub fn carry_out(self, cx: &Context) -> Result<Set> {
        let Self { request, jobs, missing, shared, configuration } = self;
        let started = free_second(request.folder, &request.stack.project())?;
        let way = Way::choose(&request.folder.state())?;
        let objects = Vec::new();
        let mut writer = Writer { cx, request: &request, started, way, shared, objects };
        let outcome = fill(&mut writer, jobs, missing, &configuration);
        if outcome.is_err() {
            writer.discard();
        }
        outcome
    }
}

fn fill(
    writer: &mut Writer,
    jobs: Vec<Job>,
    mut missing: Vec<Missing>,
    configuration: &Cmd,
) -> Result<Set> {
    let mut services = Vec::new();
    for job in jobs {
        let (service, before) = (job.subject.service, writer.objects.len());
        match store(writer, job) {
            Ok(record) if writer.request.needs_all() && !record.facts.missing.is_empty() => {
                let found = format!("{}: {}", record.name, mask(&record.facts.missing.join("; ")));
                return Err(Problem::failed("backup.incomplete", found).into());
            }
            Ok(mut record) => {
                for why in std::mem::take(&mut record.facts.missing) {
                    missing.push(Missing { service: record.name.clone(), why: mask(&why) });
                }
                services.push(record);
            }
            Err(error) if writer.request.needs_all() || is_disk_full(&error) => {
                return Err(error);
            }
            Err(error) => {
                missing.push(left_out(writer.cx, service, error)?);
                writer.discard_from(before);
                writer.cx.remove_leftovers(&writer.request.stack.project())?;
            }
        }
    }
    if services.is_empty() {
        bail!("no service could be backed up; see above");
    }
    writer.store_configuration(configuration)?;
    let Request { stack, folder, format, .. } = writer.request;
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        project: stack.project().try_into()?,
        stack: stack.name().try_into()?,
        started: writer.started,
        finished: Timestamp::now(),
        recipients: format.recipients.clone(),
        folder: folder.identity()?,
        sequence: Some(folder.next_place()?),
        missing,
        services,
        objects: writer.objects.clone(),
    };
    let key = signature::own_key(stack)?.context("the key that signs has gone")?;
    manifest.commit(&folder.sets_path(), &key)
}

fn store(writer: &mut Writer, job: Job) -> Result<ServiceRecord> {
    let Job { subject, streams } = job;
    let name = &subject.service.name;
    let (streams, finish) =
        (subject.method.begin)(subject, streams).with_context(|| format!("making {name} ready"))?;
    let mut said = Vec::new();
    for stream in streams {
        said.extend(writer.store(name, stream)?);
    }
    let facts = finish(&said).with_context(|| format!("asking {name} afterwards"))?;
    record(&subject, facts)
}

/// Reports why the set is made without `service`.
fn left_out(cx: &Context, service: &Service, error: anyhow::Error) -> Result<Missing> {
    check_interrupted()?;
    let finding = Finding::of_error("backup.service-failed", &error).about(&service.name);
    cx.report.finding(&finding);
    Ok(Missing { service: service.name.as_str().try_into()?, why: mask(&finding.found) })
}

/// What fails for one service then, fails for all.
fn is_disk_full(error: &anyhow::Error) -> bool {
    let mut problems = error.chain().filter_map(|cause| cause.downcast_ref::<Problem>());
    problems.any(|problem| problem.id == DISK_FULL)
}

/// Says that the `new` parts of a stream are written; `None` where there are none.
fn step(service: &str, stream: &Stream, new: &[&Part]) -> Option<String> {
    let what = match new {
        [] => return None,
        [only] => format!("{service}-{}", only.name),
        all => format!("{} of {service}", count(all.len(), "object")),
    };
    let size = Bytes(new.iter().map(|part| part.estimate).sum());
    let after = if stream.after.is_empty() { "" } else { ", " };
    Some(format!("write {what} (about {size} before compression){after}{}", stream.after))
}

/// A second of which there is neither a set nor an object yet, so that names are unique: this one, or
/// one of the next. However far ahead other sets are dated, nobody waits for that.
fn free_second(folder: &Folder, project: &str) -> Result<Timestamp> {
    loop {
        check_interrupted()?;
        let now = Timestamp::from_second(Timestamp::now().as_second()).context("the time")?;
        if !folder.has_name_of(now, project)? {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn record(subject: &Subject<'_>, facts: DataRecord) -> Result<ServiceRecord> {
    let Subject { stack, service, container, .. } = subject;
    let image = image::get(&container.image)?;
    let data = service.data.as_ref().context("stacks.toml names no data directory")?;
    let digests = image.iter().flat_map(|image| image.digests());
    Ok(ServiceRecord {
        name: service.name.as_str().try_into()?,
        image: container.config.image.as_str().try_into()?,
        image_id: container.image.as_str().try_into()?,
        image_digests: digests.map(|digest| digest.as_str().try_into()).collect::<Result<_>>()?,
        data: data.path.as_str().try_into()?,
        memory_limit: container.host_config.memory,
        settings: settings::of(stack, container),
        facts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::example;
    use crate::docker::helper::Helper;

    #[test]
    fn a_step_names_what_no_earlier_set_has_and_its_command_writes_that_alone() {
        let (folder, key, _place) = example::folder_with_block();
        let shared = Shared::of(&folder, "app", &[]).unwrap();
        let part = |name: &str, key: Option<&str>| Part {
            key: key.map(str::to_owned),
            args: vec![name.to_owned()],
            ..Part::new(name, 1 << 20)
        };
        let helper = Helper::new("app", "image");
        let parts = vec![part("old", Some(&key)), part("new", Some("other")), part("head", None)];
        let stream = Stream::data(helper, "copy", "from a snapshot", parts);
        let new = shared.without("prometheus", &stream.parts);
        assert_eq!(stream.args_for(&new), ["new", "head"]);
        let expected =
            "write 2 objects of prometheus (about 2.0 MB before compression), from a snapshot";
        assert_eq!(step("prometheus", &stream, &new).as_deref(), Some(expected));
        assert_eq!(step("prometheus", &stream, &[]), None);
        let of_another = shared.without("another-service", &stream.parts);
        assert_eq!(of_another.len(), 3, "a key counts within its service");
    }

    #[test]
    fn what_is_encrypted_to_others_or_of_another_project_is_not_shared() {
        let (folder, key, _place) = example::folder_with_block();
        let part = Part { key: Some(key), ..Part::new("old", 1) };
        let is_shared = |project: &str, recipients: &[String]| {
            let shared = Shared::of(&folder, project, recipients).unwrap();
            shared.without("prometheus", [&part]).is_empty()
        };
        assert!(is_shared("app", &[]));
        assert!(!is_shared("app", &["age1x".to_owned()]));
        assert!(!is_shared("another", &[]));
        let objects = folder.objects().unwrap();
        for path in objects {
            std::fs::write(folder.path().join(path), "cut").unwrap();
        }
        assert!(!is_shared("app", &[]), "its file has another size");
    }

    #[test]
    fn a_second_is_taken_by_any_set_or_object_of_the_project_and_by_no_later_one() {
        let (folder, _, _place) = example::folder_with_block();
        let second = |text: &str| text.parse::<Timestamp>().unwrap();
        let is_taken = |text, project| folder.has_name_of(second(text), project).unwrap();
        assert!(is_taken("2026-11-23T13:15:00Z", "app"));
        assert!(!is_taken("2026-11-23T13:15:00Z", "other"));
        assert!(!is_taken("2026-11-23T13:14:59Z", "app"), "a date ahead holds nothing up");
        assert!(!is_taken("2026-11-23T13:15:01Z", "app"));
        for path in folder.objects().unwrap() {
            std::fs::remove_file(folder.path().join(path)).unwrap();
        }
        assert!(is_taken("2026-11-23T13:15:00Z", "app"), "by the manifest alone");
        std::fs::remove_dir_all(folder.sets_path()).unwrap();
        let object = folder.path().join("objects/redis/.20261123T131500Z-app-data.zst.x.partial");
        std::fs::create_dir_all(object.parent().unwrap()).unwrap();
        assert!(!is_taken("2026-11-23T13:15:00Z", "app"));
        std::fs::write(object.with_file_name("20261123T131500Z-app-data.zst"), "").unwrap();
        assert!(is_taken("2026-11-23T13:15:00Z", "app"), "a killed run's object");
    }
}
