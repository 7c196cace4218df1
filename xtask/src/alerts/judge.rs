//! Whether what notifications.toml says can work: every fault at once, each with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Spanned;

use super::notifications::{Notifications, Smtp, Source};
use super::secrets;
use crate::report::finding::Finding;
use crate::secret::Secret;
use crate::stack::url::Pieces;

/// What a file called by notifications.toml holds, by the name it is called by.
pub(super) type Secrets = BTreeMap<String, Secret>;

/// Looks at all of it. The findings have no `ok` among them.
pub(super) fn judge(source: &Source, notifications: &Notifications) -> (Vec<Finding>, Secrets) {
    let mut judge = Judge { source, findings: Vec::new(), secrets: Secrets::new() };
    judge.channels(notifications);
    judge.routes(notifications);
    judge.smtp(notifications);
    judge.addresses(notifications);
    (judge.findings, judge.secrets)
}

/// Names that mean something else in AlertManager's configuration.
const TAKEN: [&str; 2] = ["nobody", "watchdog"];
const KEY: &str = "32 letters and digits, as PagerDuty shows under Integrations, Events API v2";
const SLACK: &str = "https://hooks.slack.com/services/…, as Slack shows under Incoming Webhooks; for another server that takes what Slack takes, write compatible = true";
const WEB: &str = "http:// or https:// and a host";

struct Judge<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
    secrets: Secrets,
}

impl Judge<'_> {
    fn add(&mut self, finding: Finding, at: Option<usize>) {
        let line = at.map(|at| self.source.line(at));
        self.findings.push(finding.at(self.source.shown.as_str(), line));
    }

    fn invalid(&mut self, value: &Spanned<String>, found: String, needed: &str) {
        let finding = Finding::error("notifications.invalid", found).needs(needed);
        self.add(finding, Some(value.span().start));
    }

    fn channels(&mut self, notifications: &Notifications) {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let mut names = BTreeSet::new();
        for (kind, name) in notifications.channels() {
            let fault = if name.is_empty() || !name.chars().all(is_plain) {
                Some("its name must be small letters, digits and `-`")
            } else if TAKEN.contains(&name) {
                Some("this name has another meaning; take another")
            } else if !names.insert(name) {
                Some("another channel has this name")
            } else {
                None
            };
            if let Some(fault) = fault {
                let finding = Finding::error("notifications.channel-name", fault);
                self.add(finding.about(format!("[{kind}.{name}]")), None);
            }
        }
    }

    fn routes(&mut self, notifications: &Notifications) {
        let channels = notifications.channels();
        let names: Vec<_> = channels.iter().map(|(_, name)| *name).collect();
        for (severity, wanted) in notifications.routes.all() {
            for name in wanted.iter().filter(|name| !names.contains(&name.as_ref().as_str())) {
                let known = if names.is_empty() { "none" } else { &names.join(", ") };
                let found = format!("`{}` is not the name of a channel", name.as_ref());
                let finding = Finding::error("notifications.unknown-channel", found)
                    .about(format!("routes.{severity}"))
                    .needs(format!("one of: {known}"));
                self.add(finding, Some(name.span().start));
            }
            if wanted.is_empty() && !names.is_empty() && severity != "info" {
                let found = format!("nobody is told of {severity} alerts");
                let mend = format!("name channels under [routes]: {severity} = [\"{}\"]", names[0]);
                self.add(Finding::warning("notifications.unrouted", found).mend(mend), None);
            }
        }
        let told: Vec<_> =
            notifications.routes.all().into_iter().flat_map(|(_, all)| all).collect();
        for (kind, name) in channels {
            if told.iter().all(|told| told.as_ref() != name) {
                let finding = Finding::warning("notifications.unrouted", "no route leads to it");
                let mend = "name it under [routes], or remove it";
                self.add(finding.about(format!("[{kind}.{name}]")).mend(mend), None);
            }
        }
    }

    fn smtp(&mut self, notifications: &Notifications) {
        let Some(smtp) = &notifications.smtp else {
            if let Some(name) = notifications.email.keys().next() {
                let found = "mail needs a server: there is no section [smtp]";
                let finding = Finding::error("notifications.no-mail-server", found);
                self.add(finding.about(format!("[email.{name}]")), None);
            }
            return;
        };
        let Smtp { server, from, user, password_file, tls } = smtp;
        if !is_server(server.as_ref()) {
            let found = format!("`{}` is not a mail server", server.as_ref());
            self.invalid(server, found, "host:port, such as smtp.example.org:587");
        }
        self.mail_address(from);
        match (user, password_file) {
            (None, Some(file)) => self.invalid(file, "a password without a user".into(), "user"),
            (Some(user), None) => {
                self.invalid(user, "a user without a password".into(), "password_file");
            }
            (Some(user), Some(_)) if !tls => {
                let found = "with tls = false the password would travel in the clear".into();
                self.invalid(user, found, "no user, or TLS");
            }
            _ => {}
        }
        if let Some(file) = password_file {
            self.secret(file, "password", "anything", |_| true);
        }
    }

    fn addresses(&mut self, notifications: &Notifications) {
        for email in notifications.email.values() {
            email.to.iter().for_each(|address| self.mail_address(address));
        }
        for (name, _) in notifications.email.iter().filter(|(_, email)| email.to.is_empty()) {
            let finding = Finding::error("notifications.invalid", "`to` names no address");
            self.add(finding.about(format!("[email.{name}]")), None);
        }
        for slack in notifications.slack.values() {
            if slack.compatible {
                self.secret(&slack.url_file, "URL", WEB, is_web_url);
            } else {
                self.secret(&slack.url_file, "URL of a Slack webhook", SLACK, is_slack_url);
            }
        }
        for pagerduty in notifications.pagerduty.values() {
            self.secret(&pagerduty.key_file, "PagerDuty integration key", KEY, is_pagerduty_key);
            pagerduty.url.iter().for_each(|url| self.web_url(url));
        }
        for (name, webhook) in &notifications.webhook {
            self.place(
                &format!("[webhook.{name}]"),
                webhook.url.as_ref(),
                webhook.url_file.as_ref(),
            );
            if let Some(file) = &webhook.token_file {
                self.secret(file, "token", "anything", |_| true);
            }
        }
        if let Some(watchdog) = &notifications.watchdog {
            self.place("[watchdog]", watchdog.url.as_ref(), watchdog.url_file.as_ref());
        }
    }

    /// A URL, or the file that holds one.
    fn place(
        &mut self,
        section: &str,
        url: Option<&Spanned<String>>,
        file: Option<&Spanned<String>>,
    ) {
        match (url, file) {
            (Some(url), None) => self.web_url(url),
            (None, Some(file)) => self.secret(file, "URL", WEB, is_web_url),
            (at, _) => {
                let found = "it needs either `url` or `url_file`";
                let finding = Finding::error("notifications.invalid", found).about(section);
                self.add(finding, at.map(|at| at.span().start));
            }
        }
    }

    fn web_url(&mut self, url: &Spanned<String>) {
        if !is_web_url(url.as_ref()) {
            self.invalid(url, format!("`{}` is not a URL", url.as_ref()), WEB);
        }
    }

    fn mail_address(&mut self, address: &Spanned<String>) {
        if !is_mail_address(address.as_ref()) {
            let found = format!("`{}` is not a mail address", address.as_ref());
            self.invalid(address, found, "name@example.org");
        }
    }

    /// Never shows what the file holds.
    fn secret(
        &mut self,
        file: &Spanned<String>,
        what: &str,
        needed: &str,
        is_one: fn(&str) -> bool,
    ) {
        let path = file.as_ref();
        let folder = self.source.path.parent().unwrap_or(Path::new("."));
        match secrets::read(folder, path) {
            Ok(secret) if is_one(secret.reveal()) => {
                self.secrets.insert(path.clone(), secret);
            }
            Ok(_) => self.invalid(file, format!("what {path} holds is not a {what}"), needed),
            Err(finding) => self.add(*finding, Some(file.span().start)),
        }
    }
}

fn is_server(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    is_host(host) && is_port(port)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            !text.is_empty() && text.chars().all(is_plain)
        }
    }
}

/// An address alone, without a name before it.
fn is_mail_address(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"@".contains(c);
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && local.chars().all(is_plain) && is_host(domain)
    })
}

fn is_web_url(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic())
        && Pieces::of(text).is_some_and(|url| {
            ["http", "https"].contains(&url.scheme)
                && is_host(url.host)
                && url.port.is_none_or(is_port)
        })
}

fn is_slack_url(text: &str) -> bool {
    ["https://hooks.slack.com/", "https://hooks.slack-gov.com/"].iter().any(|host| {
        let path = text.strip_prefix(host).unwrap_or_default();
        let parts: Vec<_> = path.split('/').collect();
        let is_plain = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        ["services", "workflows", "triggers"].contains(&parts[0])
            && parts.len() >= 4
            && parts.iter().all(is_plain)
    })
}

fn is_pagerduty_key(text: &str) -> bool {
    text.len() == 32 && text.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
