//! A set: one backup of one stack, described by a manifest whose digest stands in its name.

mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::facts::DataRecord;
use super::origin::{self, Origin, Trust};
use super::settings::Settings;
use crate::host::digest::sha256;
use crate::host::files::{open, read_optional, write_atomically};
use crate::host::identity::Identity;
use crate::host::signature::SigningKey;
use crate::names::{
    Digest, ImageReference, ObjectPath, ProjectName, RelativePath, ServiceName, SetId, StackName,
};
use crate::report::finding::{Finding, Problem};

/// What a manifest calls itself. A later xtask that writes another one still reads this.
pub const SCHEMA: &str = "case-interview.backup-set/v1";
/// Bytes of a manifest at most: one of a hundred thousand tables has a tenth.
const LARGEST: u64 = 128 << 20;
/// The mode of everything that holds data or secrets.
pub const PRIVATE: u32 = 0o600;

/// A set that was read and whose digest is right.
#[derive(Debug, Clone)]
pub struct Set {
    /// `<UTC time>-<project>-<stack>`.
    pub id: SetId,
    /// Where its manifest lies.
    pub path: PathBuf,
    /// What it says.
    pub manifest: Manifest,
    /// Whose it is.
    pub origin: Origin,
}

/// What a set holds and what it was made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The compose project.
    pub project: ProjectName,
    /// The stack.
    pub stack: StackName,
    /// When it was begun: what was committed before is in it.
    pub started: Timestamp,
    /// When its last object was written.
    pub finished: Timestamp,
    /// Public keys that its objects are encrypted to; none where they are not.
    pub recipients: Vec<String>,
    /// The identity of the folder that it was made in; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Identity>,
    /// Its place in the order in which the folder's sets were made, which no clock changes; earlier
    /// versions did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What should be in it and is not: what can be backed up is, whatever else fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// The services in it.
    pub services: Vec<ServiceRecord>,
    /// Its objects.
    pub objects: Vec<ObjectRecord>,
}

/// A service that could not be backed up, or not the whole of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Missing {
    /// Its name.
    pub service: ServiceName,
    /// Why.
    pub why: String,
}

/// A service as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Its name.
    pub name: ServiceName,
    /// The image reference that it ran on.
    pub image: ImageReference,
    /// That image's id.
    pub image_id: ImageReference,
    /// Under which registries know it; none where it was built here.
    pub image_digests: Vec<ImageReference>,
    /// Its data directory below `DATA_DIR`.
    pub data: RelativePath,
    /// Bytes of memory that it might use; 0 for any number.
    pub memory_limit: u64,
    /// What it was set to; earlier versions did not note it.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
    /// What its server said of its data.
    pub facts: DataRecord,
}

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A tar archive of the service's data directory.
    Data,
    /// A database in PostgreSQL's custom format, or SQL.
    Dump,
    /// A tar archive of the stack's files.
    Configuration,
}

impl Content {
    /// Whether it is a tar archive.
    pub fn is_archive(self) -> bool {
        self != Self::Dump
    }
}

/// An object as it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// The service, or `configuration`.
    pub service: ServiceName,
    /// What it holds.
    pub content: Content,
    /// Its path in the backup folder.
    pub path: ObjectPath,
    /// Of the file.
    pub sha256: Digest,
    /// Of the file.
    pub bytes: u64,
    /// Before compression.
    pub content_bytes: u64,
    /// How long it took; 0 where an earlier set had it already.
    pub seconds: f64,
    /// Says of what it is a copy, where that never changes: other sets of the project may name the
    /// same object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Set {
    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is not what its name says, or makes no sense.
    pub fn load(path: &Path, trust: &Trust) -> Result<Self> {
        let (id, digest) = name(path).context("its name is not <set>.<sha256>.json")?;
        let mut bytes = Vec::new();
        let file = open(path).context("reading it")?;
        file.take(LARGEST + 1).read_to_end(&mut bytes).context("reading it")?;
        ensure!(bytes.len() as u64 <= LARGEST, "it is larger than a manifest can be");
        ensure!(sha256(&bytes) == *digest, "its SHA-256 is not the one in its name");
        let manifest: Manifest = serde_json::from_slice(&bytes).context("making sense of it")?;
        ensure!(manifest.schema == SCHEMA, "its schema is `{}`, not {SCHEMA}", manifest.schema);
        let own = manifest.id()?;
        ensure!(own == *id, "it is the manifest of {own}");
        manifest.refuse_contradictions()?;
        let signature = read_optional(&origin::path(path)).context("reading its signature")?;
        let origin = trust.origin(&bytes, &digest, signature.as_deref());
        Ok(Self { id: own, path: path.to_owned(), manifest, origin })
    }

    /// A finding for each thing that its servers have and it does not hold.
    pub fn not_held(&self) -> Vec<Finding> {
        let lacking = |service: &ServiceRecord| {
            let name = service.name.to_string();
            let finding = move |what: &String| {
                Finding::warning("set.lacks", format!("not in the set: {what}")).about(&*name)
            };
            service.facts.lacks.iter().map(finding).collect::<Vec<_>>()
        };
        let missing = self.manifest.missing.iter().map(|one| {
            Finding::not_looked_at("set.incomplete", format!("not in the set: {}", one.why))
                .about(&*one.service)
        });
        missing.chain(self.manifest.services.iter().flat_map(lacking)).collect()
    }

    /// Its objects of `service`.
    pub fn objects<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a ObjectRecord> {
        self.manifest.objects.iter().filter(move |object| object.service == *service)
    }

    /// Its objects by service, of those in `only` where it names any.
    ///
    /// # Errors
    /// A problem that lists what it holds.
    pub fn objects_of(&self, only: &[String]) -> Result<BTreeMap<&str, Vec<&ObjectRecord>>> {
        let mut objects = BTreeMap::<&str, Vec<_>>::new();
        for object in &self.manifest.objects {
            objects.entry(&*object.service).or_default().push(object);
        }
        if let Some(unknown) = only.iter().find(|name| !objects.contains_key(name.as_str())) {
            return Err(self.lacks(unknown, objects.keys().copied()).into());
        }
        objects.retain(|service, _| only.is_empty() || only.iter().any(|name| name == service));
        Ok(objects)
    }

    fn lacks<'a>(&self, service: &str, names: impl Iterator<Item = &'a str>) -> Problem {
        Problem::usage("set.no-service", format!("{} holds no {service}", self.id))
            .mend(format!("it holds: {}", names.collect::<Vec<_>>().join(", ")))
    }

    /// The objects that together are the data directory of `service`.
    ///
    /// # Errors
    /// When there are none.
    pub fn data<'a>(&'a self, service: &'a str) -> Result<Vec<&'a ObjectRecord>> {
        let objects = self.objects(service);
        let data: Vec<_> = objects.filter(|object| object.content == Content::Data).collect();
        ensure!(!data.is_empty(), "the set holds no {service}");
        Ok(data)
    }

    /// The record of `service`.
    ///
    /// # Errors
    /// A problem that lists what it holds.
    pub fn service(&self, service: &str) -> Result<&ServiceRecord> {
        let mut services = self.manifest.services.iter();
        services.find(|record| record.name == *service).ok_or_else(|| {
            self.lacks(service, self.manifest.services.iter().map(|one| &*one.name)).into()
        })
    }

    /// Bytes of all its objects.
    pub fn bytes(&self) -> u64 {
        self.manifest.objects.iter().map(|object| object.bytes).sum()
    }
}

impl Manifest {
    /// Whether the object was written for this set, and not for an earlier one that shares it.
    pub fn wrote(&self, object: &ObjectRecord) -> bool {
        object.path.contains(&format!("/{}-", stamp(self.started)))
    }

    /// What sets of one folder are ordered by: those that have a place come after those of before,
    /// of which no clock that went back was noted.
    pub fn place(&self) -> (u64, Timestamp) {
        (self.sequence.unwrap_or(0), self.started)
    }

    /// The set's id.
    ///
    /// # Errors
    /// When its parts are too long to be the name of a file.
    pub fn id(&self) -> Result<SetId> {
        format!("{}-{}-{}", stamp(self.started), self.project, self.stack).try_into()
    }

    /// Nothing is no backup, no service and no file may be meant twice, and each object lies in its service's folder.
    fn refuse_contradictions(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for service in &self.services {
            ensure!(names.insert(&service.name), "it has {} twice", service.name);
        }
        ensure!(!self.objects.is_empty(), "it names no object");
        let mut paths = BTreeSet::new();
        for object in &self.objects {
            ensure!(paths.insert(&object.path), "it has {} twice", object.path);
            let is_at_home = object.service == *object.path.service();
            ensure!(is_at_home, "{} is not an object of {}", object.path, object.service);
        }
        Ok(())
    }

    /// Writes it into `folder`, after its signature: this is what makes the set.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn commit(self, folder: &Path, key: &SigningKey) -> Result<Set> {
        let mut text = serde_json::to_string_pretty(&self).context("writing the manifest")?;
        text.push('\n');
        let id = self.id()?;
        let path = folder.join(format!("{id}.{}.json", sha256(text.as_bytes())));
        let signature = key.sign(text.as_bytes(), &format!("file:{id}"));
        write_atomically(&origin::path(&path), signature.as_bytes(), PRIVATE)?;
        write_atomically(&path, text.as_bytes(), PRIVATE)?;
        Ok(Set { id, path, manifest: self, origin: Origin::Ours })
    }
}

/// The id and the digest in the name of a manifest.
pub fn name(path: &Path) -> Option<(String, Digest)> {
    let (id, digest) = path.file_name()?.to_str()?.strip_suffix(".json")?.rsplit_once('.')?;
    Some((id.to_owned(), digest.try_into().ok()?))
}

/// Whether `text` is what [`stamp`] makes.
pub fn is_stamp(text: &str) -> bool {
    text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// `20261123T131500Z`.
pub fn stamp(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use std::fs;

    use super::*;
    use crate::garble::garbled;

    const WHOLE: &str = r#"{"schema":"case-interview.backup-set/v1","project":"app","stack":"development",
"started":"2026-11-23T13:15:00Z","finished":"2026-11-23T13:15:01Z","recipients":[],
"services":[{"name":"redis","image":"redis:6","image_id":"sha256:ab","image_digests":[],"data":"redis",
"memory_limit":0,"facts":{"method":"redis","version":"6.2.14","keys":{},"expiring":0}}],
"objects":[{"service":"redis","content":"data","path":"objects/redis/20261123T131500Z-app-data.tar.zst",
"sha256":"0000000000000000000000000000000000000000000000000000000000000000","bytes":1,"content_bytes":1,
"seconds":0.1}]}"#;

    fn load(bytes: &[u8]) -> Result<Set> {
        let folder = tempfile::tempdir().unwrap();
        let id = "20261123T131500Z-app-development";
        let path = folder.path().join(format!("{id}.{}.json", sha256(bytes)));
        fs::write(&path, bytes).unwrap();
        Set::load(&path, &Trust::default())
    }

    #[test]
    fn what_a_set_does_not_hold_is_refused_with_what_it_does() {
        let set = load(WHOLE.as_bytes()).unwrap();
        assert_eq!(set.objects_of(&[]).unwrap().len(), 1);
        assert_eq!(set.objects_of(&["redis".to_owned()]).unwrap()["redis"].len(), 1);
        let only = ["redis".to_owned(), "rediss".to_owned()];
        let refused = set.objects_of(&only).unwrap_err().downcast::<Problem>().unwrap();
        assert!(refused.message.ends_with("holds no rediss"), "{refused}");
        assert_eq!(refused.mend, "it holds: redis".into());
    }

    #[test]
    fn a_manifest_of_any_kind_leads_nowhere() {
        let whole = load(WHOLE.as_bytes());
        assert!(whole.is_ok(), "{whole:?}");
        let words = [
            "../",
            "/etc/x",
            "..",
            "-v",
            "\\u0000",
            "\\n",
            "\"\"",
            "null",
            "18446744073709551615",
            "[",
        ];
        garbled(WHOLE.as_bytes(), &words, |bytes| {
            let Ok(set) = load(bytes) else { return };
            let services = set.manifest.services.iter();
            let names = services.flat_map(|one| [&*one.name, &*one.data, &*one.image]);
            let objects = set.manifest.objects.iter();
            let paths = objects.flat_map(|one| [&*one.service, &*one.path, &*one.sha256]);
            for text in names.chain(paths).chain([&*set.id]) {
                assert!(!text.starts_with('-') && !text.chars().any(char::is_control), "{text:?}");
                let is_plain = |part: Component| matches!(part, Component::Normal(_));
                assert!(Path::new(text).components().all(is_plain), "{text:?}");
            }
        });
    }
}
