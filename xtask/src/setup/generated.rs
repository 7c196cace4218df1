//! Files that are made for one service each: passwords in the form in which it wants them. They lie
//! in `DATA_DIR/generated/<service>`, which only that service may read.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::alerts::{self, Told};
use crate::docker::engine::Engine;
use crate::docker::helper::Helper;
use crate::docker::location::Location;
use crate::host::digest::{hex, sha256};
use crate::host::files::read_optional;
use crate::host::user::{self, Owner};
use crate::names::RelativePath;
use crate::plan::Plan;
use crate::process::{Cmd, quote};
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::stack::Stack;
use crate::stack::manifest::{GeneratedFile, Service};

/// Only the service that it is for may read it.
const MODE: u32 = 0o400;
/// Where a service sees its files, by the overlays.
pub const INSIDE: &str = "/etc/generated";
/// 2^10 rounds, as the tools of Prometheus advise: a twentieth of a second a login.
const BCRYPT_COST: u32 = 10;

/// Service to what was made for it last.
type Record = BTreeMap<String, Made>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// Of what it was made from: a hash of a password differs each time.
    digest: String,
    /// Whose it is, as `uid:gid`; earlier versions did not say.
    #[serde(default)]
    owner: Option<String>,
    at: Timestamp,
    /// Files that depend on what people write, and go when they write something else.
    #[serde(default)]
    written: Vec<RelativePath>,
}

/// A file to be made.
#[derive(Debug)]
pub struct File {
    /// Below `DATA_DIR`.
    pub path: String,
    /// The service's user.
    pub owner: Owner,
    /// What it holds; never printed.
    pub contents: String,
}

/// Beside the data; where that is on another machine, beside the project's lock.
fn record_path(stack: &Stack) -> Result<PathBuf> {
    Ok(match Location::current()?.shares_paths() {
        true => stack.data_dir().join("state").join(format!("{}-generated.json", stack.name())),
        false => stack.state_folder().join(format!("{}-generated.json", stack.project())),
    })
}

fn recorded(stack: &Stack) -> Result<Record> {
    let path = record_path(stack)?;
    match read_optional(&path)? {
        Some(text) => {
            serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
        }
        None => Ok(Record::new()),
    }
}

/// When the files of `service` were last made; `None` where there are none.
///
/// # Errors
/// When the record cannot be read.
pub fn changed_at(stack: &Stack, service: &Service) -> Result<Option<SystemTime>> {
    Ok(recorded(stack)?.remove(&service.name).map(|made| made.at.into()))
}

/// Whether the directory `path` below `DATA_DIR` is one in which files were made for a service,
/// whoever it belonged to then. In doubt it is not.
pub fn is_on_record(stack: &Stack, path: &str) -> bool {
    let record = recorded(stack).unwrap_or_default();
    let mut services = stack.definition.services.iter();
    services.any(|service| {
        record.contains_key(&service.name) && Path::new(path).starts_with(folder(service))
    })
}

/// The steps that make what is missing or was made of something else or for another user.
///
/// # Errors
/// When a password is missing or too long to be hashed, or what people wrote for a service is broken.
pub fn plan(stack: &Stack) -> Result<Plan> {
    let mut record = recorded(stack)?;
    let (mut files, mut stale) = (Vec::new(), Vec::new());
    let mut plan = Plan::new();
    let at = Timestamp::now();
    let place = Location::current()?;
    for service in &stack.definition.services {
        let Some(generated) = &service.generated else { continue };
        let folder = folder(service);
        let told = alerts::for_service(stack, service)?;
        let written = told.as_ref().map(Told::files).unwrap_or_default();
        let digest = digest(stack, &generated.files, &written)?;
        let made = record.get(&service.name);
        let owner = Some(generated.owner.to_string());
        let is_right = |name: &str| {
            let path = stack.data_dir().join(&folder).join(name);
            let recorded = || made.is_some_and(|made| made.owner == owner);
            lies_for(place, &path, generated.owner).unwrap_or_else(recorded)
        };
        let fixed = generated.files.iter().map(|file| file.name.as_str());
        let mut names = fixed.chain(written.iter().map(|(name, _)| name.as_str()));
        if made.is_some_and(|made| made.digest == digest) && names.all(is_right) {
            continue;
        }
        for file in &generated.files {
            let path = format!("{folder}/{}", file.name);
            let contents = contents(stack, file)?;
            files.push(File { path, owner: generated.owner, contents });
        }
        told.iter().for_each(|told| told.check(&mut plan));
        let before = made.map(|made| made.written.clone()).unwrap_or_default();
        let is_stale = |name: &RelativePath| written.iter().all(|(written, _)| *name != **written);
        stale.extend(before.into_iter().filter(is_stale).map(|name| format!("{folder}/{name}")));
        let names = written.iter().map(|(name, _)| name.as_str().try_into());
        let names = names.collect::<Result<_>>()?;
        record.insert(service.name.clone(), Made { digest, owner, at, written: names });
        files.extend(written.into_iter().map(|(name, contents)| File {
            path: format!("{folder}/{name}"),
            owner: generated.owner,
            contents,
        }));
    }
    plan.append(write(stack, &files)?);
    plan.append(remove(stack, &stale)?);
    if !plan.is_empty() {
        let text = serde_json::to_string_pretty(&record).context("writing the record of files")?;
        plan.write("record what was made for which service", record_path(stack)?, text, 0o600);
    }
    Ok(plan)
}

/// Whether a file lies at `path` and is its service's own; nothing where we may not look or cannot,
/// and the record is all that is known.
fn lies_for(place: Location, path: &Path, owner: Owner) -> Option<bool> {
    if !place.shares_paths() {
        return None;
    }
    match fs::symlink_metadata(path) {
        Ok(facts) if place.shares_owners() => {
            Some(Owner { uid: facts.uid(), gid: facts.gid() } == owner)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Some(false),
        _ => None,
    }
}

/// The folder of a service's files, below `DATA_DIR`.
pub fn folder(service: &Service) -> String {
    format!("generated/{}", service.name)
}

/// The steps that write `files` for their owners: directly as root, else in a container.
///
/// # Errors
/// When the helper's image is unknown, or the engine does not answer.
pub fn write(stack: &Stack, files: &[File]) -> Result<Plan> {
    let mut plan = Plan::new();
    if files.is_empty() {
        return Ok(plan);
    }
    if user::is_root() && Location::current()?.shares_owners() {
        for File { path, owner, contents } in files {
            let path = stack.data_dir().join(path);
            let what = format!("make {} ({owner}, {MODE:04o})", path.display());
            plan.write_for(what, path, contents.as_bytes(), MODE, *owner);
        }
        return Ok(plan);
    }
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
    let names: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    let what = format!(
        "make {} in {} (in a container, as root)",
        names.join(", "),
        stack.data_dir().display()
    );
    plan.run(what, helper.cmd("exec sh -eu", &[]).stdin(script(files)));
    Ok(plan)
}

/// The steps that remove files of services, by their paths below `DATA_DIR`.
fn remove(stack: &Stack, paths: &[String]) -> Result<Plan> {
    let mut plan = Plan::new();
    if paths.is_empty() {
        return Ok(plan);
    }
    let what = format!("remove {} in {}", paths.join(", "), stack.data_dir().display());
    if user::is_root() && Location::current()?.shares_owners() {
        plan.run(what, Cmd::new("rm").args(["-f", "--"]).args(paths).dir(stack.data_dir()));
        return Ok(plan);
    }
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
    plan.run(what, helper.cmd(r#"cd /data && rm -f -- "$@""#, paths));
    Ok(plan)
}

/// On stdin, since an argument could be read by everybody on the host.
fn script(files: &[File]) -> String {
    let mut script = format!(
        r#"umask 077
put() {{
    printf %s "$3" >"/data/$1.partial"
    chown "$2" "/data/$1.partial"
    chmod {MODE:04o} "/data/$1.partial"
    sync "/data/$1.partial"
    mv -f "/data/$1.partial" "/data/$1"
}}
"#
    );
    for File { path, owner, contents } in files {
        script.push_str(&format!("put {} {owner} {}\n", quote(path), quote(contents)));
    }
    script
}

fn digest(stack: &Stack, files: &[GeneratedFile], written: &[(String, String)]) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut add = |part: &str| {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    };
    if !Location::current()?.shares_paths() {
        // Another machine has none of this one's files.
        add(&Engine::ask()?.id);
    }
    for file in files {
        add(&file.name);
        add(template(stack, file));
        add(&secret(stack, file)?);
    }
    for (name, contents) in written {
        add(name);
        add(contents);
    }
    Ok(hex(&hasher.finalize()))
}

fn template<'a>(stack: &Stack, file: &'a GeneratedFile) -> &'a str {
    let is_absent = |name: &String| stack.active().iter().all(|service| service.name != *name);
    if file.about.as_ref().is_some_and(is_absent) { "[]\n" } else { &file.contents }
}

fn secret(stack: &Stack, file: &GeneratedFile) -> Result<String> {
    let Some(name) = &file.secret else { return Ok(String::new()) };
    stack.env.get(name).with_context(|| format!("{name} is not set"))
}

fn contents(stack: &Stack, file: &GeneratedFile) -> Result<String> {
    let template = template(stack, file);
    match &file.secret {
        Some(name) => fill(template, &secret(stack, file)?).map_err(|why| {
            Problem::prerequisite("env.unusable-secret", format!("{name}: {why}"))
                .mend(format!("empty it, then: {}", Xtask::EnvInit(stack.on())))
                .into()
        }),
        None => Ok(template.to_owned()),
    }
}

/// Whether the password can be read in the file again.
pub fn shows_secret(file: &GeneratedFile) -> bool {
    ["{plain}", "{json}"].iter().any(|form| file.contents.contains(form))
}

/// The password in a file that was made of it; `None` where the text is another.
pub fn secret_in(file: &GeneratedFile, text: &str) -> Option<String> {
    let between = |form: &str| {
        let (before, after) = file.contents.split_once(form)?;
        text.strip_prefix(before)?.strip_suffix(after)
    };
    match between("{plain}") {
        Some(plain) => Some(plain.to_owned()),
        None => serde_json::from_str(between("{json}")?).ok(),
    }
}

/// `template` with the forms of `secret` that it names.
fn fill(template: &str, secret: &str) -> Result<String> {
    type Form = fn(&str) -> Result<String>;
    let forms: [(&str, Form); 4] = [
        ("{plain}", |secret| Ok(secret.to_owned())),
        ("{json}", |secret| Ok(serde_json::to_string(secret)?)),
        ("{sha256}", |secret| Ok(sha256(secret.as_bytes()))),
        ("{bcrypt}", |secret| Ok(bcrypt::non_truncating_hash(secret, BCRYPT_COST)?)),
    ];
    let mut text = template.to_owned();
    for (name, form) in forms {
        if text.contains(name) {
            text = text.replace(name, &form(secret)?);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_takes_the_form_that_a_service_wants() {
        let password = "pa\"ss'word";
        assert_eq!(fill("{plain}", password).unwrap(), password);
        assert_eq!(fill(r#"{"u": {json}}"#, password).unwrap(), r#"{"u": "pa\"ss'word"}"#);
        for contents in ["{plain}", r#"{"u": {json}}"#] {
            let (name, secret, about) = ("a".to_owned(), None, None);
            let file = GeneratedFile { name, secret, contents: contents.to_owned(), about };
            let text = fill(contents, password).unwrap();
            assert_eq!(secret_in(&file, &text).as_deref(), Some(password));
        }
        assert_eq!(fill("#{sha256}", "").unwrap()[..9], *"#e3b0c442");
        let line = fill("admin: '{bcrypt}'", password).unwrap();
        let hash = line.strip_prefix("admin: '").unwrap().trim_end_matches('\'');
        assert!(bcrypt::verify(password, hash).unwrap() && !line.contains(password));
        assert!(fill("{bcrypt}", &"x".repeat(73)).is_err(), "the rest would not count");
    }

    #[test]
    fn a_shell_writes_every_byte_and_nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let contents = "a'b\\n\"$HOME\n".to_owned();
        let file = File { path: "x y".to_owned(), owner: user::owner(), contents };
        let there = folder.path().display().to_string();
        let script = script(std::slice::from_ref(&file)).replace("/data", &there);
        crate::process::Cmd::new("sh").args(["-eu"]).stdin(script).run().unwrap();
        let written = folder.path().join("x y");
        assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, MODE);
        // Root reads what only its owner may.
        assert_eq!(fs::read_to_string(written).unwrap(), file.contents);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
