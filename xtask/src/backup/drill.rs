//! A drill: a set is restored into containers that are thrown away, and questioned. Nothing of the
//! stack is touched, and nothing is left.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::examine::{Examination, Extent};
use super::folder::Folder;
use super::free_space::Need;
use super::object::{self, Keys};
use super::proof::Answers;
use super::set::{Content, ObjectRecord, PRIVATE, ServiceRecord};
use super::signature::Believed;
use super::unpack::{Target, content_bytes};
use super::verify::{self, Depth};
use super::{server, settings};
use crate::context::Context;
use crate::docker::engine::Engine;
use crate::docker::helper::Helper;
use crate::docker::image;
use crate::docker::location::Location;
use crate::docker::mount::Access;
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
    /// Whether nothing was refuted, and everything that was asked has answered.
    pub ok: bool,
    /// What was proven, and what was not looked at; earlier versions did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// From the first byte unpacked until the last service had answered: the time to restore (RTO).
    pub restore_seconds: f64,
    /// How old the set was: what a restore would have lost (RPO). Below 0 where it is dated ahead.
    pub age_seconds: f64,
    /// By service.
    pub services: BTreeMap<String, f64>,
}

/// By the set's id.
pub type Record = BTreeMap<SetId, Drilled>;

impl Drilled {
    /// Whether everything was looked at; earlier versions did not note what was not.
    pub fn is_whole(&self) -> bool {
        self.answers.as_ref().is_none_or(|answers| answers.not_looked_at.is_empty())
    }

    /// What it says of the set, in a word or two.
    pub fn verdict(&self) -> String {
        let unknown = self.answers.as_ref().map_or(0, |answers| answers.not_looked_at.len());
        match &self.answers {
            Some(answers) if !self.ok && answers.refuted == 0 => {
                "IS NOT PROVEN TO RESTORE".to_owned()
            }
            _ if !self.ok => "DOES NOT RESTORE".to_owned(),
            _ if unknown > 0 => format!("restores, as far as was looked at (not: {unknown})"),
            _ => "restores".to_owned(),
        }
    }
}

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
        findings.extend(self.set.not_held());
        findings.extend(self.configuration());
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            let skipped = |record: &ServiceRecord| {
                Finding::not_looked_at("drill.skipped", "not restored, since the set is damaged")
                    .about(&*record.name)
            };
            findings.extend(self.set.manifest.services.iter().map(skipped));
        } else {
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
                        Finding::no_answer("drill.failed", format!("{error:#}"))
                            .about(&*record.name),
                    ),
                }
            }
        }
        let answers = Answers::of(&findings);
        let drilled = Drilled {
            at,
            ok: answers.is_good(),
            answers: Some(answers),
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
            Ok(()) => Finding::proven(
                "drill.configuration",
                format!("{} open to their end", Bytes(object.content_bytes)),
            ),
            Err(error) => Finding::refuted("drill.configuration", format!("{error:#}")),
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
        findings.extend(settings::findings(self.stack, service, &record.settings)?);
        let volume = Volume::new(&project)?;
        let give = r#"chown "$1" /target; chmod "$2" /target"#;
        Helper::new(&project, &image)
            .volume(volume.name(), "/target", Access::Write)?
            .cmd(give, &[owner.to_string(), format!("{:04o}", data.mode)])
            .run()
            .context("making a volume ready")?;
        let started = Instant::now();
        let target = Target { project: &project, image: &image, place: volume.name(), owner };
        target.unpack(&cx.report, self.folder, objects, &self.keys)?;
        let stack = self.stack;
        let examination = Examination { stack, service, held: &*held, target: &target };
        let mut seconds = 0.0;
        let mut on_ready = || seconds = started.elapsed().as_secs_f64();
        findings.extend(examination.run(Extent::Everything, &mut on_ready)?.findings);
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
