//! Where a service's data comes from: which image made it, whether a server has answered on it
//! yet, and to which credentials. A stand-in never starts on the data of the real server, nor the
//! reverse.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::inspect::{Found, Presence, inspect, is_empty};
use crate::docker::container::Container;
use crate::docker::location::Location;
use crate::host::digest::hex;
use crate::host::files::read_optional;
use crate::names::ImageReference;
use crate::plan::Plan;
use crate::process::{Cmd, quote};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// By service; one without an entry has data that xtask knows nothing of.
type Record = BTreeMap<String, Origin>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    /// The image that first started on it; none where `setup` made it and nothing has.
    image: Option<ImageReference>,
    /// Whether a server has answered on it. Until then it may be half made.
    answered: bool,
    /// How the directory lay there when it last answered; unknown to earlier versions.
    #[serde(default)]
    presence: Presence,
    /// A digest of the credentials that last opened it, of a server that keeps them in its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened_by: Option<String>,
}

fn path(stack: &Stack) -> PathBuf {
    stack.data_dir().join("state").join(format!("{}-data.json", stack.name()))
}

fn recorded(stack: &Stack) -> Result<Record> {
    let path = path(stack);
    match read_optional(&path)? {
        Some(text) => {
            serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
        }
        None => Ok(Record::new()),
    }
}

fn write(stack: &Stack, what: &str, before: &Record, record: &Record) -> Result<Plan> {
    let mut plan = Plan::new();
    if record != before {
        let text = serde_json::to_string_pretty(record).context("writing the record of data")?;
        plan.write(what, path(stack), text, 0o600);
    }
    Ok(plan)
}

/// The image that made the data of `service`, when its kind is not that of today's image.
///
/// # Errors
/// When the record cannot be read.
pub fn mismatch(stack: &Stack, service: &Service) -> Result<Option<ImageReference>> {
    let made_by = recorded(stack)?.remove(&service.name).and_then(|origin| origin.image);
    let is_other =
        |image: &ImageReference| service.is_offline_image(image) != stack.is_offline(service);
    Ok(made_by.filter(|image| is_other(image) && holds_data(stack, service)))
}

/// What is known of the data of `service`, on which a server has answered and which has been there
/// since.
fn known(stack: &Stack, service: &Service) -> Option<Origin> {
    let origin = recorded(stack).ok()?.remove(&service.name)?;
    Some(origin).filter(|origin| origin.image.is_some() && origin.answered)
}

/// Whether a server has answered on the data of `service`, which has been there since.
pub fn has_answered(stack: &Stack, service: &Service) -> bool {
    known(stack, service).is_some()
}

/// How the data directory of `service` lay there when a server last answered on it.
pub fn presence(stack: &Stack, service: &Service) -> Option<Presence> {
    known(stack, service).map(|origin| origin.presence)
}

/// Whether there is data that remembers the password with which it was made.
pub fn keeps_password(stack: &Stack, service: &Service) -> bool {
    service.set_password.is_some() && has_answered(stack, service)
}

/// The step that records today's images for data that has none on record, and for that of `anew`,
/// which begins without any. Where the engine's files are on another machine there is no record.
///
/// # Errors
/// A prerequisite problem when a service would start on data of the other kind, or an offline
/// image on data of unknown origin.
pub fn plan(stack: &Stack, containers: &[Container], anew: &[&Service]) -> Result<Plan> {
    if !Location::current()?.shares_paths() {
        return Ok(Plan::new());
    }
    let before = recorded(stack)?;
    let mut record = before.clone();
    for service in stack.definition.services.iter().filter(|service| service.data.is_some()) {
        let is_anew = anew.iter().any(|one| one.name == service.name);
        if !is_anew && let Some(made_by) = mismatch(stack, service)? {
            return Err(other_kind(stack, service, &made_by)?.into());
        }
        let container = containers.iter().find(|its| its.service() == Some(&service.name));
        let image = container.map(|container| container.config.image.as_str().try_into());
        let image: Option<ImageReference> = image.transpose()?;
        let unasked = Origin { answered: image.is_some(), image, ..Origin::default() };
        if is_anew {
            record.insert(service.name.clone(), Origin::default());
        }
        let origin = record.entry(service.name.clone()).or_insert(unasked);
        if origin.image.is_none() {
            let unknown = !before.contains_key(&service.name) && holds_data(stack, service);
            if unknown && stack.is_offline(service) {
                return Err(unknown_kind(stack, service).into());
            }
            *origin = Origin {
                image: Some(stack.image(service)?.try_into()?),
                answered: unknown,
                ..Origin::default()
            };
        }
    }
    write(stack, "record which images make the data", &before, &record)
}

/// The step that records directories as made by us, before they are made.
///
/// # Errors
/// When the record cannot be read.
pub fn made_empty(stack: &Stack) -> Result<Plan> {
    let before = recorded(stack)?;
    let mut record = before.clone();
    for service in &stack.definition.services {
        let Some(data) = &service.data else { continue };
        if inspect(&stack.data_path(data))? == Found::Nothing {
            record.insert(service.name.clone(), Origin::default());
        }
    }
    write(stack, "record what is made", &before, &record)
}

/// The step that records that every service has answered.
///
/// # Errors
/// When the record cannot be read.
pub fn answered(stack: &Stack) -> Result<Plan> {
    let before = recorded(stack)?;
    let mut record = before.clone();
    for (name, origin) in &mut record {
        origin.answered = true;
        let service = stack.service(name).ok();
        origin.opened_by = service.and_then(|service| keys(stack, service));
        let data = service.and_then(|service| service.data.as_ref());
        origin.presence = data.map(|data| Presence::of(&stack.data_path(data))).unwrap_or_default();
    }
    write(stack, "record that the data is whole", &before, &record)
}

/// The step that records that the credentials of `.env` open the data of `service`.
///
/// # Errors
/// When the record cannot be read.
pub fn opened(stack: &Stack, service: &Service) -> Result<Plan> {
    let before = recorded(stack)?;
    let mut record = before.clone();
    if let Some(origin) = record.get_mut(&service.name) {
        origin.opened_by = keys(stack, service);
    }
    write(stack, "record what opens the data", &before, &record)
}

/// Whether other credentials than those of `.env` opened the data of `service` last.
///
/// # Errors
/// When the record cannot be read.
pub fn is_locked(stack: &Stack, service: &Service) -> Result<bool> {
    let opened_by = recorded(stack)?.remove(&service.name).and_then(|origin| origin.opened_by);
    Ok(opened_by.is_some() && opened_by != keys(stack, service))
}

/// A digest of user, password and database of each endpoint, where the server keeps them in its
/// data; none while a value is missing.
fn keys(stack: &Stack, service: &Service) -> Option<String> {
    service.set_password.as_ref()?;
    let mut hasher = Sha256::new();
    for endpoint in &service.endpoints {
        let url = stack.url(&endpoint.url).ok()?;
        let password = url.password.as_ref().map(|password| password.reveal()).unwrap_or_default();
        for part in [url.user.as_str(), password, url.encoded_path()] {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
    }
    Some(hex(&hasher.finalize()))
}

/// The commands with which a person has `service` start without data, and loses nothing: what is
/// there stays beside.
pub fn start_anew(stack: &Stack, service: &Service) -> String {
    let aside = service.data.as_ref().map(|data| set_aside(&stack.data_path(data)));
    let steps = [
        Some(Xtask::Down(stack.on()).to_string()),
        aside,
        Some(Xtask::UpFresh(stack.on()).to_string()),
    ];
    steps.into_iter().flatten().collect::<Vec<_>>().join(", then ")
}

/// The command that renames a directory to a name that nothing has.
pub fn set_aside(path: &Path) -> String {
    let path = quote(&path.to_string_lossy());
    format!("sudo mv {path} {path}.$(date +%Y%m%d-%H%M%S)")
}

/// The step that records that the data goes, before it does: what an interrupted purge has removed is
/// not missed.
///
/// # Errors
/// When the record cannot be read.
pub fn going(stack: &Stack) -> Result<Plan> {
    let before = recorded(stack)?;
    let record = before.keys().map(|name| (name.clone(), Origin::default())).collect();
    write(stack, "record that the data goes", &before, &record)
}

/// The step that forgets the record, after the data has gone.
pub fn forget(stack: &Stack) -> Plan {
    let mut plan = Plan::new();
    let path = path(stack);
    if path.exists() {
        plan.run("forget which images made it", Cmd::new("rm").arg("-f").arg(path));
    }
    plan
}

/// Fails when data would be removed that neither `setup` nor `up` has put on record.
///
/// # Errors
/// A problem that names it.
pub fn refuse_unrecorded(stack: &Stack) -> Result<()> {
    if !Location::current()?.shares_paths() {
        return Ok(());
    }
    let record = recorded(stack)?;
    let services = stack.definition.services.iter();
    let unknown: Vec<_> = services
        .filter(|service| !record.contains_key(&service.name) && holds_data(stack, service))
        .filter_map(|service| Some(stack.data_path(service.data.as_ref()?)))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = unknown.iter().map(|path| path.display().to_string()).collect();
    let aside: Vec<_> = unknown.iter().map(|path| set_aside(path)).collect();
    Err(Problem::prerequisite(
        "data.unrecorded",
        format!("{} was not made by xtask, which removes nothing else", names.join(", ")),
    )
    .mend(format!("look at it; what is not needed here can go aside: {}", aside.join("; ")))
    .into())
}

/// What may not be looked at is taken for data.
fn holds_data(stack: &Stack, service: &Service) -> bool {
    let data = service.data.as_ref();
    data.is_some_and(|data| is_empty(&stack.data_path(data)) != Some(true))
}

fn unknown_kind(stack: &Stack, service: &Service) -> Problem {
    let problem = Problem::prerequisite(
        "data.other-kind",
        format!(
            "which image made the data of {} is unknown, and an offline one must not open the data of the real server",
            service.name
        ),
    );
    problem.mend(
        Advice::from(format!(
            "start it on the real image, without --offline and the *_IMAGE lines of {}",
            stack.env.path().display()
        ))
        .or("use another data directory"),
    )
}

/// The ways out for data that an image of the other kind made.
///
/// # Errors
/// When the compose file has no variable for the image.
pub fn other_kind_advice(stack: &Stack, service: &Service, made_by: &str) -> Result<Advice> {
    let variable = stack.compose.image_variable(&service.name)?;
    let anew = start_anew(stack, service);
    Ok(Advice::from(format!("put {variable}={made_by} into {}", stack.env.path().display()))
        .or("use another data directory")
        .or(format!("start without this data, which stays beside: {anew}")))
}

fn other_kind(stack: &Stack, service: &Service, made_by: &str) -> Result<Problem> {
    let today = stack.image(service)?;
    Ok(Problem::prerequisite(
        "data.other-kind",
        format!(
            "the data of {} was made by {made_by} and must not be opened by {today}",
            service.name
        ),
    )
    .mend(other_kind_advice(stack, service, made_by)?))
}
