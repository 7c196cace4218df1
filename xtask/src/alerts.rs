//! Alerts: who is told of them, whether that works, and what fires.

mod judge;
pub mod notifications;
mod render;
pub mod rules;
mod secrets;
pub mod send_test;
pub mod silences;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::judge::judge;
use self::notifications::{Notifications, Source};
use self::render::{Rendered, render};
use crate::docker::labels;
use crate::docker::mount::{Access, mount};
use crate::plan::Plan;
use crate::process::Cmd;
use crate::report::finding::{Finding, Problem, Severity};
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// What [`findings`] may find.
pub const IDS: &[&str] = &[
    "notifications.channels",
    "notifications.none",
    "notifications.unrouted",
    "notifications.malformed",
    "notifications.invalid",
    "notifications.channel-name",
    "notifications.unknown-channel",
    "notifications.no-mail-server",
    "notifications.secret-place",
    "notifications.secret-missing",
    "notifications.secret-unreadable",
    "notifications.secret-exposed",
    "notifications.secret-empty",
    "notifications.secret-lines",
];

/// What a service is given so that it tells people of alerts.
#[derive(Debug)]
pub struct Told {
    /// What people wrote.
    pub notifications: Notifications,
    rendered: Rendered,
    check: Cmd,
}

/// What was found of the notifications, and what they are where nothing is broken.
struct Look {
    findings: Vec<Finding>,
    told: Option<(Notifications, Rendered)>,
}

/// The service of `stack` that tells people of alerts, if it has one.
pub fn notifier(stack: &Stack) -> Option<&Service> {
    stack.definition.services.iter().find(|service| folder(stack, service).is_some())
}

/// The folder with the notifications of `stack`.
pub fn folder_of(stack: &Stack) -> Option<PathBuf> {
    folder(stack, notifier(stack)?)
}

/// Whether only its owner has to read `path`: it says where notifications go, or holds a secret.
pub fn is_private(stack: &Stack, path: &Path) -> bool {
    let below =
        folder_of(stack).and_then(|folder| Some(path.strip_prefix(folder).ok()?.to_owned()));
    below.and_then(|below| below.to_str().map(secrets::is_private)).unwrap_or_default()
}

/// The folder with its notifications.
fn folder(stack: &Stack, service: &Service) -> Option<PathBuf> {
    let folder = service.generated.as_ref()?.notifications.as_ref()?;
    Some(stack.folder.join(folder))
}

/// The file that says who is told.
fn file(stack: &Stack, service: &Service) -> Option<PathBuf> {
    Some(folder(stack, service)?.join(stack.own_file("notifications", "toml")))
}

/// What `service` is given; `None` where it is none that tells people.
///
/// # Errors
/// A problem with everything that is broken.
pub fn for_service(stack: &Stack, service: &Service) -> Result<Option<Told>> {
    let Some(folder) = folder(stack, service) else { return Ok(None) };
    let Look { findings, told } = look(stack, service)?;
    let Some((notifications, rendered)) = told else { return Err(refusal(&findings).into()) };
    let check = amtool(stack, service, &folder)?.stdin(rendered.config.as_str());
    Ok(Some(Told { notifications, rendered, check }))
}

/// What doctor says of the notifications of `stack`.
///
/// # Errors
/// When the file cannot be read.
pub fn findings(stack: &Stack) -> Result<Vec<Finding>> {
    let Some(service) = notifier(stack) else { return Ok(Vec::new()) };
    let Look { mut findings, told } = look(stack, service)?;
    if let Some((notifications, _)) = told {
        let names: Vec<_> = notifications.channels().into_iter().map(|(_, name)| name).collect();
        if !names.is_empty() {
            let found = format!("alerts are told through {}", names.join(", "));
            findings.push(Finding::ok("notifications.channels", found).about(stack.name()));
        } else if stack.env.text().is_some() {
            // Who has not set the stack up does not expect to be told.
            let found = "nobody will be told of alerts: there is no channel";
            let mend = "docs/notifications.md leads to a first message in five minutes";
            let finding = Finding::warning("notifications.none", found);
            findings.push(finding.about(stack.name()).mend(mend));
        }
    }
    Ok(findings)
}

fn look(stack: &Stack, service: &Service) -> Result<Look> {
    let path = file(stack, service).unwrap_or_default();
    let root = stack.folder.ancestors().nth(3).unwrap_or(&stack.folder);
    let Some(source) = Source::read(path, root)? else {
        let notifications = Notifications::default();
        let rendered = render(&notifications, &judge::Secrets::new())?;
        return Ok(Look { findings: Vec::new(), told: Some((notifications, rendered)) });
    };
    let notifications = match source.parse() {
        Ok(notifications) => notifications,
        Err(finding) => return Ok(Look { findings: vec![*finding], told: None }),
    };
    let (findings, secrets) = judge(&source, &notifications);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Ok(Look { findings, told: None });
    }
    let rendered = render(&notifications, &secrets)?;
    Ok(Look { findings, told: Some((notifications, rendered)) })
}

/// Everything that is broken, in one error.
fn refusal(findings: &[Finding]) -> Problem {
    let errors: Vec<_> =
        findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    match errors.as_slice() {
        [error] => Problem::from(*error),
        all => {
            let line = |finding: &&Finding| {
                let mend: String = finding.mend.lines().map(|line| format!("\n  {line}")).collect();
                format!("\n  {finding}{mend}")
            };
            let lines: String = all.iter().map(line).collect();
            let id = all.first().map_or("notifications.invalid", |finding| finding.id);
            Problem::prerequisite(id, format!("the notifications are broken:{lines}"))
        }
    }
}

/// Has amtool read a configuration from stdin, in the service's image, as the service sees it.
fn amtool(stack: &Stack, service: &Service, folder: &std::path::Path) -> Result<Cmd> {
    let image = stack.image(service)?;
    let script = "cat >/tmp/alertmanager.yml && amtool check-config /tmp/alertmanager.yml";
    // No time limit: the engine may have to fetch the image.
    Ok(Cmd::new("docker")
        .args(["run", "--rm", "--interactive", "--network", "none", "--read-only"])
        .args(["--label", &format!("{}={}", labels::HELPER, stack.project())])
        .args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--log-driver", "none"])
        .args(["--tmpfs", "/tmp:size=8m,mode=1777"])
        .args(mount(&folder.to_string_lossy(), "/etc/alertmanager", Access::Read)?)
        .args(["--entrypoint", "sh", &image, "-c", script]))
}

impl Told {
    /// The files that the service gets, by their names in its folder; secrets before what names
    /// them.
    pub fn files(&self) -> Vec<(String, String)> {
        let secrets = self.rendered.secrets.iter();
        let mut files: Vec<_> = secrets
            .map(|(name, secret)| (format!("secrets/{name}"), secret.reveal().to_owned()))
            .collect();
        files.push(("alertmanager.yml".to_owned(), self.rendered.config.clone()));
        files
    }

    /// The configuration; secrets may stand in it.
    pub fn config(&self) -> &str {
        &self.rendered.config
    }

    /// Adds to `plan` that AlertManager's own tool accepts the configuration, so that no later
    /// step is taken otherwise. That nobody is told needs no check, nor an image.
    pub fn check(&self, plan: &mut Plan) {
        if !self.notifications.channels().is_empty() || self.notifications.watchdog.is_some() {
            let what = "have amtool check the configuration made of the notifications";
            plan.run(what, self.check.clone());
        }
    }
}
