//! Making a set while the services run.

mod estimate;

use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use super::archive::{Archive, END, MODES};
use super::config::Config;
use super::configuration;
use super::facts::Facts;
use super::folder::Folder;
use super::object::{Format, Object, Pending, require_age};
use super::progress::Meter;
use super::set::{Content, Manifest, ObjectRecord, SCHEMA, ServiceRecord, Set, stamp};
use super::shared::Shared;
use super::source::{self, Part, Source, Stream, Subject};
use crate::context::Context;
use crate::docker::container::Container;
use crate::docker::image;
use crate::docker::transfer::{Outgoing, Way};
use crate::host::files;
use crate::plan::Plan;
use crate::process::{Ends, PipeEnd};
use crate::process::{Output, check_interrupted};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::report::units::{Bytes, count, duration};
use crate::stack::Stack;
use crate::stack::manifest::{BackupMethod, Service};

/// What is to be backed up, and how.
#[derive(Debug)]
pub struct Request<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Its containers.
    pub containers: &'a [Container],
    /// The services, all of which must run.
    pub services: Vec<(&'a Service, BackupMethod)>,
    /// Whether dumps are wanted too.
    pub logical: bool,
    /// How backups are made.
    pub config: &'a Config,
    /// Where they go.
    pub folder: &'a Folder,
    /// How objects are written.
    pub format: Format,
}

/// A service with what asks it.
struct Job<'a> {
    service: &'a Service,
    container: &'a Container,
    source: Box<dyn Source + 'a>,
    streams: Vec<Stream>,
}

/// What all objects of one backup have in common.
struct Run {
    started: Timestamp,
    way: Way,
    shared: Shared,
}

impl<'a> Request<'a> {
    fn jobs(&'a self) -> Result<Vec<Job<'a>>> {
        let mut jobs = Vec::new();
        for (service, method) in &self.services {
            let container = self.running(service)?;
            let subject = Subject {
                stack: self.stack,
                service,
                container,
                config: self.config,
                logical: self.logical,
            };
            let source = source::open(subject, *method);
            let streams = source.streams().with_context(|| format!("asking {}", service.name))?;
            jobs.push(Job { service, container, source, streams });
        }
        Ok(jobs)
    }

    fn running(&self, service: &Service) -> Result<&'a Container> {
        let of_service = |container: &&Container| container.service() == Some(&service.name);
        self.containers
            .iter()
            .filter(of_service)
            .find(|container| container.is_running())
            .ok_or_else(|| {
                let project = self.stack.project();
                Problem::failed(
                    "backup.not-running",
                    format!(
                        "{} of {project} does not run, so it cannot be backed up",
                        service.name
                    ),
                )
                .mend(
                    Advice::from(Xtask::Up(self.stack.on()))
                        .or(format!("leave it out: {}", Xtask::BackupOnly(self.stack.on()))),
                )
                .into()
            })
    }

    /// What would be done, with the commands that give the data.
    ///
    /// # Errors
    /// When a service does not answer.
    pub fn plan(&self, cx: &Context) -> Result<Plan> {
        let shared = self.shared()?;
        let mut plan = Plan::new();
        for job in self.jobs()? {
            for stream in job.streams {
                let new = self.new_parts(&shared, job.service, &stream.parts);
                if new.is_empty() {
                    continue;
                }
                let size = Bytes(new.iter().map(|part| part.estimate).sum());
                let what = match new.as_slice() {
                    [only] => format!("{}-{}", job.service.name, only.name),
                    all => format!("{} of {}", count(all.len(), "object"), job.service.name),
                };
                let cmd = stream.helper.cmd(stream.script.trim(), &arguments(&stream, &new));
                plan.run(format!("write {what} (about {size} before compression)"), cmd);
            }
        }
        plan.run("write the configuration", configuration::archive(cx, self.stack)?);
        Ok(plan)
    }

    /// Makes the set. Only for the holder of the folder's lock and the project's.
    ///
    /// # Errors
    /// When anything fails; there is no set then, and no object of it.
    pub fn make(&self, cx: &Context) -> Result<Set> {
        if !self.format.recipients.is_empty() {
            require_age()?;
        }
        let jobs = self.jobs()?;
        let shared = self.shared()?;
        self.refuse_full_disk(&jobs, &shared)?;
        let mut run =
            Run { started: self.free_second()?, way: Way::choose(&self.folder.state())?, shared };
        let mut objects = Vec::new();
        let outcome = self.fill(cx, jobs, &mut run, &mut objects);
        if outcome.is_err() {
            for object in objects.iter().filter(|object| !run.shared.has(object)) {
                let _ = files::remove(&self.folder.path().join(&object.path));
            }
        }
        outcome
    }

    fn fill(
        &self,
        cx: &Context,
        jobs: Vec<Job>,
        run: &mut Run,
        objects: &mut Vec<ObjectRecord>,
    ) -> Result<Set> {
        let mut services = Vec::new();
        for mut job in jobs {
            let name = job.service.name.clone();
            let expected = std::mem::take(&mut job.streams);
            let streams =
                job.source.begin(expected).with_context(|| format!("making {name} ready"))?;
            let mut said = Vec::new();
            for stream in streams {
                said.extend(self.store(cx, job.service, stream, run, objects)?);
            }
            let facts =
                job.source.finish(&said).with_context(|| format!("asking {name} afterwards"))?;
            services.push(record(job.service, job.container, facts)?);
        }
        self.store_configuration(cx, run.started, objects)?;
        let manifest = Manifest {
            schema: SCHEMA.to_owned(),
            project: self.stack.project().try_into()?,
            stack: self.stack.name().try_into()?,
            started: run.started,
            finished: Timestamp::now(),
            recipients: self.format.recipients.clone(),
            services,
            objects: objects.clone(),
        };
        manifest.commit(&self.folder.sets_path())
    }

    /// A second of which there is no object yet, so that names are unique.
    fn free_second(&self) -> Result<Timestamp> {
        loop {
            check_interrupted()?;
            let now = Timestamp::from_second(Timestamp::now().as_second()).context("the time")?;
            let name = format!("/{}-{}-", stamp(now), self.stack.project());
            let (sets, _) = self.folder.sets()?;
            let is_taken = self.folder.objects()?.iter().any(|path| path.contains(&name))
                || sets.iter().any(|set| {
                    set.manifest.project == *self.stack.project() && set.manifest.started >= now
                });
            if !is_taken {
                return Ok(now);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn shared(&self) -> Result<Shared> {
        Shared::of(self.folder, &self.stack.project(), &self.format.recipients)
    }

    fn new_parts<'p>(
        &self,
        shared: &Shared,
        service: &Service,
        parts: &'p [Part],
    ) -> Vec<&'p Part> {
        parts.iter().filter(|part| shared.find(&service.name, part).is_none()).collect()
    }

    /// Writes what no earlier set has. What the helper said beside the data; nothing where it had
    /// nothing to do.
    fn store(
        &self,
        cx: &Context,
        service: &Service,
        stream: Stream,
        run: &mut Run,
        objects: &mut Vec<ObjectRecord>,
    ) -> Result<Option<Output>> {
        run.shared.verify(&cx.report, self.folder, &service.name, &stream.parts)?;
        let known = stream.parts.iter().filter_map(|part| run.shared.find(&service.name, part));
        let before = objects.len();
        objects.extend(known);
        let kept: u64 = objects[before..].iter().map(|object| object.bytes).sum();
        if objects.len() > before {
            cx.report.done(format!(
                "{} of {} ({}) are shared with earlier sets",
                count(objects.len() - before, "object"),
                service.name,
                Bytes(kept)
            ));
        }
        let new = self.new_parts(&run.shared, service, &stream.parts);
        if new.is_empty() {
            return Ok(None);
        }
        let args = arguments(&stream, &new);
        let mut bytes =
            Outgoing::start(&stream.helper, stream.script, &args, stream.input, &run.way)?;
        let written = self.write(cx, service, &new, stream.content, run, &mut bytes);
        // Its own words first: when it fails, the stream is cut off as well.
        let (pending, said) = match written {
            Ok(pending) => (pending, bytes.finish()?),
            Err(error) if bytes.has_failed() => return Err(bytes.finish().err().unwrap_or(error)),
            Err(error) => return Err(error),
        };
        for (pending, object) in pending {
            self.keep(cx, pending, object, objects)?;
        }
        Ok(Some(said))
    }

    /// One object a part, none of which counts yet.
    fn write(
        &self,
        cx: &Context,
        service: &Service,
        parts: &[&Part],
        content: Content,
        run: &Run,
        bytes: &mut Outgoing,
    ) -> Result<Vec<(Pending, Object)>> {
        let mut pending = Vec::new();
        let mut put = |part: &Part, source: &mut dyn Read| -> Result<()> {
            let object = self.object(&service.name, part, content, run.started)?;
            let what = format!("{} {}", service.name, part.name);
            let mut meter = Meter::new(&cx.report, what, part.estimate);
            let path = self.folder.path().join(&object.path);
            let progress = &mut |at| meter.at(at);
            pending.push((Pending::write(source, &path, &self.format, progress)?, object));
            Ok(())
        };
        if !content.is_archive() {
            parts.iter().try_for_each(|part| put(part, bytes))?;
            return Ok(pending);
        }
        let mut archive = Archive::new(bytes, MODES);
        for (at, part) in parts.iter().enumerate() {
            let is_there = at == 0 || archive.go_on()?;
            ensure!(is_there, "{}: the stream has no {}", service.name, part.name);
            put(part, &mut archive.by_ref().chain(&END[..]))?;
        }
        ensure!(!archive.go_on()?, "{}: the stream goes on after its end", service.name);
        Ok(pending)
    }

    fn store_configuration(
        &self,
        cx: &Context,
        started: Timestamp,
        written: &mut Vec<ObjectRecord>,
    ) -> Result<()> {
        let part = Part::new("files", 0);
        let object = self.object(configuration::NAME, &part, Content::Configuration, started)?;
        let (end, theirs) = std::io::pipe().context("making a pipe")?;
        let ends = Ends { stdin: None, stdout: Some(theirs.into()) };
        let running = configuration::archive(cx, self.stack)?.start(ends)?;
        let path = self.folder.path().join(&object.path);
        let mut archive = Archive::new(PipeEnd::new(end)?, MODES);
        let files = &mut archive.by_ref().chain(&END[..]);
        let pending = Pending::write(files, &path, &self.format, &mut |_| {}).and_then(|pending| {
            ensure!(!archive.go_on()?, "the archive goes on after its end");
            Ok(pending)
        });
        drop(archive);
        running.finish()?;
        self.keep(cx, pending?, object, written)
    }

    fn keep(
        &self,
        cx: &Context,
        pending: Pending,
        object: Object,
        written: &mut Vec<ObjectRecord>,
    ) -> Result<()> {
        let object = pending.commit(object)?;
        let rate = Bytes((object.content_bytes as f64 / object.seconds.max(0.001)) as u64);
        let time = duration(Duration::from_secs_f64(object.seconds));
        cx.report.done(format!(
            "{} ({}, {} stored, {time}, {rate}/s)",
            object.path,
            Bytes(object.content_bytes),
            Bytes(object.bytes)
        ));
        written.push(object);
        Ok(())
    }

    fn object(
        &self,
        service: &str,
        part: &Part,
        content: Content,
        started: Timestamp,
    ) -> Result<Object> {
        let name = &part.name;
        let tar = if content.is_archive() { ".tar" } else { "" };
        let file = format!(
            "{}-{}-{name}{tar}{}",
            stamp(started),
            self.stack.project(),
            self.format.extension()
        );
        Ok(Object {
            service: service.try_into()?,
            content,
            path: format!("objects/{service}/{file}").try_into()?,
            key: part.key.clone(),
        })
    }
}

fn arguments(stream: &Stream, parts: &[&Part]) -> Vec<String> {
    let of_parts = parts.iter().flat_map(|part| part.args.clone());
    stream.args.iter().cloned().chain(of_parts).collect()
}

fn record(service: &Service, container: &Container, facts: Facts) -> Result<ServiceRecord> {
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
        facts,
    })
}
