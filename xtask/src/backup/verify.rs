//! Is every object what its manifest says, and is there nothing else?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::damaged::{self, Damaged};
use super::folder::Folder;
use super::object::{self, Keys};
use super::progress::Meter;
use super::set::{ObjectRecord, PRIVATE, Set};
use crate::host::files::{read_optional, write_atomically};
use crate::names::ObjectPath;
use crate::process::{check_interrupted, quote};
use crate::report::Report;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Answer, Finding};
use crate::report::units::{Bytes, count};

/// How closely it is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Sizes only.
    Quick,
    /// Every byte of every file.
    Full,
    /// And every archive opened to its end.
    Deep,
}

/// When an object was last verified, and how that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When.
    pub at: Timestamp,
    /// Whether it was opened to its end.
    pub deep: bool,
    /// What was wrong; nothing where it was right.
    pub wrong: Option<String>,
}

/// By the object's path.
pub type Record = BTreeMap<ObjectPath, Verified>;

/// The file is right, but without its key nobody knows what is in it.
const NOT_OPENED: &str = "object.not-opened";

fn record_path(folder: &Folder) -> std::path::PathBuf {
    folder.state().join("verified.json")
}

/// What earlier verifies have recorded.
///
/// # Errors
/// When the record is there but cannot be read.
pub fn recorded(folder: &Folder) -> Result<Record> {
    let path = record_path(folder);
    match read_optional(&path)? {
        // It can be made again by another verify.
        Some(text) => Ok(serde_json::from_str(&text).unwrap_or_default()),
        None => Ok(Record::new()),
    }
}

/// When all objects of `set` had been verified; `None` where one has not, or was wrong.
pub fn verified_at(set: &Set, record: &Record) -> Option<Timestamp> {
    let times = set.manifest.objects.iter().map(|object| {
        record.get(&object.path).filter(|verified| verified.wrong.is_none()).map(|done| done.at)
    });
    times.collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// Whether the last look at one of its objects found it wrong.
pub fn is_known_bad(set: &Set, record: &Record) -> bool {
    set.manifest
        .objects
        .iter()
        .any(|object| record.get(&object.path).is_some_and(|last| last.wrong.is_some()))
}

/// Looks at the objects of `sets`; `is_recorded` says whether the outcome is recorded, which a dry
/// run leaves out. It never is of a set that is not believed, which may name objects of others and
/// claim anything of them. An object that several sets name is looked at once.
///
/// # Errors
/// When the record cannot be written or the user interrupts; what is wrong with an object is a
/// finding.
pub fn objects(
    report: &Report,
    folder: &Folder,
    sets: &[Set],
    depth: Depth,
    keys: &Keys,
    is_recorded: bool,
) -> Result<Vec<Finding>> {
    let (believed, others): (Vec<_>, Vec<_>) =
        sets.iter().partition(|set| set.origin.is_believed());
    let mut found = of_sets(report, folder, &others, depth, keys, false)?;
    found.extend(of_sets(report, folder, &believed, depth, keys, is_recorded)?);
    Ok(found)
}

fn of_sets(
    report: &Report,
    folder: &Folder,
    sets: &[&Set],
    depth: Depth,
    keys: &Keys,
    is_recorded: bool,
) -> Result<Vec<Finding>> {
    let all = sets.iter().flat_map(|set| &set.manifest.objects);
    let all: BTreeMap<_, _> = all.map(|object| ((&object.path, &object.sha256), object)).collect();
    let all: Vec<_> = all.into_values().collect();
    let look = if is_recorded { each } else { look_at };
    let looks = look(report, folder, &all, depth, keys)?;
    let wrong: BTreeMap<_, _> = all
        .iter()
        .zip(looks)
        .filter_map(|(object, finding)| Some((&*object.path, finding?)))
        .collect();
    Ok(sets.iter().flat_map(|set| findings(set, &wrong, depth)).collect())
}

/// Looks at these objects and records the outcome. What is wrong with each, in their order.
///
/// # Errors
/// As [`objects`].
pub fn each(
    report: &Report,
    folder: &Folder,
    objects: &[&ObjectRecord],
    depth: Depth,
    keys: &Keys,
) -> Result<Vec<Option<Finding>>> {
    let looks = look_at(report, folder, objects, depth, keys)?;
    if depth == Depth::Quick {
        return Ok(looks);
    }
    let mut record = recorded(folder)?;
    for (object, wrong) in objects.iter().zip(&looks) {
        let refuted = |finding: &Finding| finding.answer == Some(Answer::Refuted);
        let is_unread = wrong.as_ref().is_some_and(|one| !refuted(one) && one.id != NOT_OPENED);
        if is_unread {
            // Nothing is known of it any more.
            record.remove(&object.path);
            continue;
        }
        let deep = depth == Depth::Deep && wrong.as_ref().is_none_or(|one| one.id != NOT_OPENED);
        let wrong = wrong.as_ref().filter(|one| refuted(one)).map(|one| one.found.clone());
        record.insert(object.path.clone(), Verified { at: Timestamp::now(), deep, wrong });
    }
    let present = folder.objects()?;
    record.retain(|path, verified| present.contains(&**path) || verified.wrong.is_some());
    let text = serde_json::to_string_pretty(&record).context("writing the record")?;
    write_atomically(&record_path(folder), text.as_bytes(), PRIVATE)?;
    Ok(looks)
}

fn findings(set: &Set, wrong: &BTreeMap<&str, Finding>, depth: Depth) -> Vec<Finding> {
    let of_set: Vec<_> = set
        .manifest
        .objects
        .iter()
        .filter_map(|object| wrong.get(&*object.path))
        .map(|finding| finding.clone().about(&set.id))
        .collect();
    if !of_set.is_empty() {
        return of_set;
    }
    let count = count(set.manifest.objects.len(), "object");
    let how = match depth {
        Depth::Quick => "of the right size (not read)",
        Depth::Full => "as the manifest says",
        Depth::Deep => "as the manifest says, and open to the end",
    };
    vec![
        Finding::proven("set.verified", format!("{count}, {}, {how}", Bytes(set.bytes())))
            .about(&set.id),
    ]
}

/// Side by side; the result is in the order of `objects`.
fn look_at(
    report: &Report,
    folder: &Folder,
    objects: &[&ObjectRecord],
    depth: Depth,
    keys: &Keys,
) -> Result<Vec<Option<Finding>>> {
    let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let results = Mutex::new(vec![None; objects.len()]);
    let expected = match depth {
        Depth::Quick => 0,
        Depth::Full => objects.iter().map(|object| object.bytes).sum(),
        Depth::Deep => objects.iter().map(|object| object.content_bytes).sum(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(objects.len());
    std::thread::scope(|scope| -> Result<()> {
        let work = || {
            while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed))
                && let Some(object) = objects.get(at)
                && check_interrupted().is_ok()
            {
                let found = look(folder, object, depth, keys, &|read| {
                    bytes.fetch_add(read, Ordering::Relaxed);
                });
                results.lock().unwrap_or_else(PoisonError::into_inner)[at] = found;
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut meter = Meter::new(report, "verify", expected);
        while workers.iter().any(|worker| !worker.is_finished()) {
            meter.at(bytes.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(5));
        }
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a verifying thread panicked"))?;
        }
        check_interrupted()
    })?;
    Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn look(
    folder: &Folder,
    object: &ObjectRecord,
    depth: Depth,
    keys: &Keys,
    progress: &dyn Fn(u64),
) -> Option<Finding> {
    let path = folder.path().join(&object.path);
    let wrong = |id, found: String| {
        Some(
            Finding::refuted(id, format!("{}: {found}", object.path)).mend(
                Advice::from("bring the file back from a copy of the folder")
                    .or(format!("choose another set: {}", Xtask::BackupList)),
            ),
        )
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        let found = format!("{}: cannot be read: {error}", object.path);
        Some(
            Finding::no_answer("object.unreadable", found)
                .mend("see whether the disk is well, and whose the file is; then verify again"),
        )
    };
    let facts = match std::fs::symlink_metadata(&path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return wrong("object.missing", "is missing".to_owned());
        }
        Err(error) => return unreadable(&error),
    };
    if !facts.is_file() {
        return wrong("object.damaged", "is not a file".to_owned());
    }
    if facts.len() != object.bytes {
        let found = format!("has {} bytes, not {}", facts.len(), object.bytes);
        return wrong("object.size", found);
    }
    if depth == Depth::Quick {
        return None;
    }
    let is_encrypted = object.path.is_encrypted();
    let mut not_opened = None;
    if depth == Depth::Deep {
        let opened = object::read(folder.path(), object, keys, &mut |contents| {
            object::copy(contents, &mut |bytes| {
                progress(bytes.len() as u64);
                Ok(())
            })
        });
        match opened {
            Ok(()) => return None,
            Err(error) if !is_encrypted => return wrong("object.damaged", format!("{error:#}")),
            Err(error) => not_opened = Some(unopened(object, keys, &error)),
        }
    }
    match object::digest(&path, progress) {
        Ok((sha256, _)) if object.sha256 == *sha256 => not_opened,
        Ok(_) => wrong("object.damaged", "its SHA-256 is another".to_owned()),
        Err(error) => unreadable(&format!("{error:#}")),
    }
}

/// With no key that is no surprise, with the wrong one it is a failure; the file may be right.
fn unopened(object: &ObjectRecord, keys: &Keys, error: &anyhow::Error) -> Finding {
    if keys.identity.is_none() {
        return Finding::not_looked_at(
            NOT_OPENED,
            format!("{}: encrypted, so not opened", object.path),
        )
        .mend("give the file with the private key: --identity FILE");
    }
    Finding::no_answer(NOT_OPENED, format!("{}: cannot be opened: {error:#}", object.path)).mend(
        "give the private key of one of the recipients that `backup show` lists: --identity FILE",
    )
}

/// Sets that nobody known has signed.
pub fn origins(sets: &[Set]) -> Vec<Finding> {
    let foreign = sets.iter().filter(|set| !set.origin.is_believed());
    let finding = |set: &Set| {
        Finding::error("set.unknown-origin", set.origin.describe().to_owned()).about(&set.id).mend(
            Advice::from("name the key of the machine that made it in backup.toml (signers)").or(
                format!("if nobody can say who made it: rm {}", quote(&set.path.to_string_lossy())),
            ),
        )
    };
    foreign.map(finding).collect()
}

/// Manifests that cannot be used, and files that no manifest names.
///
/// # Errors
/// When the folder cannot be read.
pub fn strays(folder: &Folder, sets: &[Set], damaged: &[Damaged]) -> Result<Vec<Finding>> {
    let mut findings = damaged::findings(damaged, sets);
    let named: BTreeSet<_> =
        sets.iter().flat_map(|set| &set.manifest.objects).map(|object| &*object.path).collect();
    for path in folder.objects()? {
        if named.contains(path.as_str()) {
            continue;
        }
        if let Some(bad) = damaged.iter().find(|bad| bad.may_name(&path)) {
            let found =
                format!("{path}: no set names it, unless it is that of {}", bad.path.display());
            findings.push(Finding::warning("object.unnamed", found));
        } else {
            findings.push(
                Finding::warning("object.unnamed", format!("{path}: no set names it")).mend(
                    format!("an interrupted backup left it; {} removes it", Xtask::BackupPrune),
                ),
            );
        }
    }
    for entry in std::fs::read_dir(folder.path()).context("reading the backup folder")? {
        let name = entry.context("reading the backup folder")?.file_name();
        let name = name.to_string_lossy();
        if !["objects", "sets", "state", "README.md"].contains(&name.as_ref()) {
            findings.push(Finding::warning("folder.foreign", format!("{name}: not ours")));
        }
    }
    Ok(findings)
}
