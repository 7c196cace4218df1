//! The objects of one set, as they come.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use super::Request;
use crate::backup::deduplication::Shared;
use crate::backup::object::{Object, Pending};
use crate::backup::progress::Meter;
use crate::backup::server::{Part, Stream};
use crate::backup::set::{Content, ObjectRecord, stamp};
use crate::backup::stack_files;
use crate::backup::tar::{Archive, END, MODES};
use crate::context::Context;
use crate::docker::transfer::{Outgoing, Way};
use crate::host::files;
use crate::process::{Cmd, Ends, Output, PipeEnd};
use crate::report::units::{Bytes, count, duration};

/// What all objects of one backup have in common, and those that it has so far.
pub(super) struct Writer<'a> {
    pub(super) cx: &'a Context,
    pub(super) request: &'a Request<'a>,
    pub(super) started: Timestamp,
    pub(super) way: Way,
    pub(super) shared: Shared,
    pub(super) objects: Vec<ObjectRecord>,
}

impl Writer<'_> {
    /// Writes what no earlier set has. What the helper said beside the data; nothing where it had
    /// nothing to do.
    pub(super) fn store(&mut self, service: &str, stream: Stream) -> Result<Option<Output>> {
        let (report, parts) = (&self.cx.report, &stream.parts);
        self.shared.verify(report, self.request.folder, service, parts)?;
        let known: Vec<_> =
            parts.iter().filter_map(|part| self.shared.find(service, part)).collect();
        if !known.is_empty() {
            let objects = count(known.len(), "object");
            let bytes = Bytes(known.iter().map(|object| object.bytes).sum());
            report.done(format!("{objects} of {service} ({bytes}) are shared with earlier sets"));
        }
        self.objects.extend(known);
        let new = self.shared.without(service, parts);
        if new.is_empty() {
            return Ok(None);
        }
        let args = stream.args_for(&new);
        let mut bytes =
            Outgoing::start(&stream.helper, stream.script, &args, stream.input, &self.way)?;
        let written = self.write(service, &new, stream.content, &mut bytes);
        // Its own words first: when it fails, the stream is cut off as well.
        let (pending, said) = match written {
            Ok(pending) => (pending, bytes.finish()?),
            Err(error) if bytes.has_failed() => return Err(bytes.finish().err().unwrap_or(error)),
            Err(error) => return Err(error),
        };
        for (pending, object) in pending {
            self.keep(pending, object)?;
        }
        Ok(Some(said))
    }

    /// One object a part, none of which counts yet.
    fn write(
        &self,
        service: &str,
        parts: &[&Part],
        content: Content,
        bytes: &mut Outgoing,
    ) -> Result<Vec<(Pending, Object)>> {
        let mut pending = Vec::new();
        let mut put = |part: &Part, source: &mut dyn Read| -> Result<()> {
            let object = self.object(service, part, content)?;
            let what = format!("{service} {}", part.name);
            let mut meter = Meter::new(&self.cx.report, what, part.estimate);
            let written = self.begin(&object, source, &mut |at| meter.at(at))?;
            pending.push((written, object));
            Ok(())
        };
        if !content.is_archive() {
            parts.iter().try_for_each(|part| put(part, bytes))?;
            return Ok(pending);
        }
        let mut archive = Archive::new(bytes, MODES);
        for (at, part) in parts.iter().enumerate() {
            let is_there = at == 0 || archive.go_on()?;
            ensure!(is_there, "{service}: the stream has no {}", part.name);
            put(part, &mut archive.by_ref().chain(&END[..]))?;
        }
        ensure!(!archive.go_on()?, "{service}: the stream goes on after its end");
        Ok(pending)
    }

    /// Writes the stack's files, which `configuration` gives.
    pub(super) fn store_configuration(&mut self, configuration: &Cmd) -> Result<()> {
        let part = Part::new("files", 0);
        let object = self.object(stack_files::NAME, &part, Content::Configuration)?;
        let (end, theirs) = std::io::pipe().context("making a pipe")?;
        let ends = Ends { stdin: None, stdout: Some(theirs.into()) };
        let running = configuration.start(ends)?;
        let mut archive = Archive::new(PipeEnd::new(end)?, MODES);
        let files = &mut archive.by_ref().chain(&END[..]);
        let pending = self.begin(&object, files, &mut |_| {}).and_then(|pending| {
            ensure!(!archive.go_on()?, "the archive goes on after its end");
            Ok(pending)
        });
        drop(archive);
        running.finish()?;
        self.keep(pending?, object)
    }

    fn begin(
        &self,
        object: &Object,
        source: &mut dyn Read,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Pending> {
        let path = self.request.folder.path().join(&object.path);
        Pending::write(source, &path, &self.request.format, progress)
    }

    fn keep(&mut self, pending: Pending, object: Object) -> Result<()> {
        let object = pending.commit(object)?;
        let rate = Bytes((object.content_bytes as f64 / object.seconds.max(0.001)) as u64);
        let time = duration(Duration::from_secs_f64(object.seconds));
        self.cx.report.done(format!(
            "{} ({}, {} stored, {time}, {rate}/s)",
            object.path,
            Bytes(object.content_bytes),
            Bytes(object.bytes)
        ));
        self.objects.push(object);
        Ok(())
    }

    fn object(&self, service: &str, part: &Part, content: Content) -> Result<Object> {
        let Request { stack, format, .. } = self.request;
        let (stamp, project, name) = (stamp(self.started), stack.project(), &part.name);
        let tar = if content.is_archive() { ".tar" } else { "" };
        let file = format!("{stamp}-{project}-{name}{tar}{}", format.extension());
        Ok(Object {
            service: service.try_into()?,
            content,
            path: format!("objects/{service}/{file}").try_into()?,
            key: part.key.clone(),
        })
    }

    /// Removes what was written, since there will be no set that names it.
    pub(super) fn discard(&mut self) {
        self.discard_from(0);
    }

    /// Removes what was written after the first so many.
    pub(super) fn discard_from(&mut self, first: usize) {
        for object in self.objects.drain(first..).filter(|object| !self.shared.has(object)) {
            let _ = files::remove(&self.request.folder.path().join(&object.path));
        }
    }
}
