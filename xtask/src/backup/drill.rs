//! A drill: a set is restored into containers that are thrown away, and questioned. Nothing of the
//! stack is touched, and nothing is left.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::free_space::Need;
use super::object::{self, Keys};
use super::server;
use super::set::{Content, ObjectRecord, PRIVATE, ServiceRecord};
use super::signature::Believed;
use super::throwaway::Throwaway;
use super::unpack::{Target, content_bytes};
use super::verify::{self, Depth};
use crate::context::Context;
use crate::docker::engine::Engine;
use crate::docker::helper::Helper;
use crate::docker::image;
use crate::docker::location::Location;
use crate::docker::volume::Volume;
use crate::host::files::{read_optional, write_atomically};
use crate::names::SetId;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Problem, Severity};
use crate::report::units::Bytes;
use crate::stack::Stack;

/// Of the contents, so that a server has room to write while it recovers.
const ROOM: f64 = 1.5;

/// How a set's last drill ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drilled {
    /// When it was begun.
    pub at: Timestamp,
    /// Whether everything was as it should be.
    pub ok: bool,
    /// From the first byte unpacked until the last service had answered: the time to restore (RTO).
    pub restore_seconds: f64,
    /// How old the set was: what a restore would have lost (RPO). Below 0 where it is dated ahead.
    pub age_seconds: f64,
    /// By service.
    pub services: BTreeMap<String, f64>,
}

/// By the set's id.
pub type Record = BTreeMap<SetId, Drilled>;

fn record_path(folder: &Folder) -> std::path::PathBuf {
    folder.state().join("drills.json")
}

/// What earlier drills have recorded.
///
/// # Errors
/// When the record is there but cannot be read.
pub fn recorded(folder: &Folder) -> Result<Record> {
    let text = read_optional(&record_path(folder))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Under which name its containers and volumes are known: not the project's, whose other commands
/// may run meanwhile and would remove them.
pub fn name(project: &str) -> String {
    format!("{project}-drill")
}

/// A set, and what to restore it with.
#[derive(Debug)]
pub struct Drill<'a> {
    /// The stack, for its owners of data.
    pub stack: &'a Stack,
    /// Where the set lies.
    pub folder: &'a Folder,
    /// The set.
    pub set: Believed<'a>,
    /// What opens encrypted objects.
    pub keys: Keys,
}

impl Drill<'_> {
    /// Restores, asks, removes. Only for the holder of the folder's lock.
    ///
    /// # Errors
    /// When it cannot be made, or the user interrupts; whatever speaks against the set is a
    /// finding.
    pub fn run(&self, cx: &Context) -> Result<(Drilled, Vec<Finding>)> {
        self.keys.fit(&self.set.manifest.objects)?;
        let at = Timestamp::now();
        let sets = std::slice::from_ref(self.set.get());
        let mut findings =
            verify::objects(&cx.report, self.folder, sets, Depth::Full, &self.keys, true)?;
        let mut services = BTreeMap::new();
        findings.extend(self.configuration());
        if findings.iter().all(|finding| finding.severity < Severity::Error) {
            for record in &self.set.manifest.services {
                let data = self.set.data(&record.name)?;
                let outcome = self.service(cx, record, &data);
                crate::process::check_interrupted()?;
                match outcome {
                    Ok((seconds, found)) => {
                        services.insert(record.name.to_string(), seconds);
                        let about = |finding: Finding| finding.about(&*record.name);
                        findings.extend(found.into_iter().map(about));
                    }
                    Err(error) if error.chain().any(|cause| cause.is::<Problem>()) => {
                        return Err(error);
                    }
                    Err(error) => findings.push(
                        Finding::error("drill.failed", format!("{error:#}")).about(&*record.name),
                    ),
                }
            }
        }
        let drilled = Drilled {
            at,
            ok: findings.iter().all(|finding| finding.severity < Severity::Error),
            restore_seconds: services.values().sum(),
            age_seconds: at.duration_since(self.set.manifest.started).as_secs_f64(),
            services,
        };
        self.keep(&drilled)?;
        Ok((drilled, findings))
    }

    /// The stack's files open to their end.
    fn configuration(&self) -> Option<Finding> {
        let objects = &self.set.manifest.objects;
        let object = objects.iter().find(|object| object.content == Content::Configuration)?;
        let opened = object::read(self.folder.path(), object, &self.keys, &mut |_| Ok(()));
        let finding = match opened {
            Ok(()) => Finding::ok(
                "drill.configuration",
                format!("{} open to their end", Bytes(object.content_bytes)),
            ),
            Err(error) => Finding::error("drill.configuration", format!("{error:#}")),
        };
        Some(finding.about(&*object.service))
    }

    fn keep(&self, drilled: &Drilled) -> Result<()> {
        let mut record = recorded(self.folder)?;
        record.insert(self.set.id.clone(), drilled.clone());
        let text = serde_json::to_string_pretty(&record).context("writing the record")?;
        write_atomically(&record_path(self.folder), text.as_bytes(), PRIVATE)
    }

    /// The seconds until it answered, and what it said.
    fn service(
        &self,
        cx: &Context,
        record: &ServiceRecord,
        objects: &[&ObjectRecord],
    ) -> Result<(f64, Vec<Finding>)> {
        refuse_full_disk(content_bytes(objects))?;
        let held = server::read(&record.facts)?;
        let service = self.stack.service(&record.name)?;
        let data = service.data.as_ref().context("stacks.toml names no data directory")?;
        let owner = Stack::owner(data);
        let project = name(&self.stack.project());
        let (image, mut findings) = image_of(record)?;
        let volume = Volume::new(&project)?;
        let give = r#"chown "$1" /target; chmod "$2" /target"#;
        Helper::new(&project, &image)
            .volume(volume.name(), "/target")
            .cmd(give, &[owner.to_string(), format!("{:04o}", data.mode)])
            .run()
            .context("making a volume ready")?;
        let started = Instant::now();
        let target = Target { project: &project, image: &image, place: volume.name(), owner };
        target.unpack(&cx.report, self.folder, objects, &self.keys)?;
        findings.extend(held.look_at_files(&target.helper("/data:ro"))?);
        let alone = held.alone(self.stack, service)?;
        let server = Throwaway::start(&target, &*held, &alone, record.memory_limit)?;
        let seconds = started.elapsed().as_secs_f64();
        findings.extend(held.compare(server.client())?);
        findings.extend(held.look_through(server.client())?);
        Ok((seconds, findings))
    }
}

/// The image that the set was made on; by its name where that one has gone.
fn image_of(record: &ServiceRecord) -> Result<(String, Vec<Finding>)> {
    for reference in std::iter::once(&record.image_id).chain(&record.image_digests) {
        if image::get(reference)?.is_some() {
            return Ok((reference.to_string(), Vec::new()));
        }
    }
    if image::get(&record.image)?.is_none() {
        return Err(Problem::prerequisite(
            "drill.image",
            format!("the image {} of the set is not here", record.image),
        )
        .mend(
            Advice::from(format!("docker pull {}", record.image))
                .or(format!("where it is an offline image: {}", Xtask::ImagesBuild)),
        )
        .into());
    }
    let found = format!("not the very image that made the set, but today's {}", record.image);
    Ok((record.image.to_string(), vec![Finding::warning("drill.image", found)]))
}

/// Volumes lie where Docker keeps them, often on the disk of the running servers.
fn refuse_full_disk(contents: u64) -> Result<()> {
    if !Location::current()?.shares_owners() {
        return Ok(());
    }
    Need {
        id: "drill.disk-low",
        who: "the drill",
        bytes: (contents as f64 * ROOM) as u64,
        mend: Advice::from("make room there")
            .or("drill on another machine with a copy of the backup folder"),
    }
    .fits(Path::new(&Engine::ask()?.docker_root_dir))
}
