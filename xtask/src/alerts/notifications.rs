//! `notifications.toml`, typed: who is told of alerts, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use toml::Spanned;

use crate::host::followed;
use crate::report::finding::Finding;

/// The whole file. A channel is one way to tell somebody; its name is its key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notifications {
    /// Who is told of what.
    pub routes: Routes,
    /// When.
    pub timing: Timing,
    /// The server that takes mail.
    pub smtp: Option<Smtp>,
    /// Channels by mail.
    pub email: BTreeMap<String, Email>,
    /// Channels by Slack.
    pub slack: BTreeMap<String, Slack>,
    /// Channels by PagerDuty.
    pub pagerduty: BTreeMap<String, PagerDuty>,
    /// Channels by a request to a server of one's own.
    pub webhook: BTreeMap<String, Webhook>,
    /// Who notices that nothing comes any more.
    pub watchdog: Option<Watchdog>,
}

/// The channels that are told of each severity.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routes {
    /// Somebody must look now.
    pub critical: Vec<Spanned<String>>,
    /// Somebody should look today; also what has no known severity.
    pub warning: Vec<Spanned<String>>,
    /// Nobody has to do anything.
    pub info: Vec<Spanned<String>>,
}

impl Routes {
    /// Severity and channels, the worst first.
    pub fn all(&self) -> [(&'static str, &[Spanned<String>]); 3] {
        [("critical", &self.critical), ("warning", &self.warning), ("info", &self.info)]
    }
}

/// When messages are sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Until the first message of a group, so that what fires together is told together.
    pub group_wait: Time,
    /// Between two messages of a group that has changed.
    pub group_interval: Time,
    /// Between two messages of a group that has not.
    pub repeat: Repeat,
}

impl Default for Timing {
    fn default() -> Self {
        Self { group_wait: Time(30), group_interval: Time(5 * 60), repeat: Repeat::default() }
    }
}

/// How often what still fires is told again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Repeat {
    /// Of critical alerts.
    pub critical: Time,
    /// Of warnings.
    pub warning: Time,
    /// Of information.
    pub info: Time,
}

impl Default for Repeat {
    fn default() -> Self {
        Self { critical: Time(3600), warning: Time(12 * 3600), info: Time(3 * 24 * 3600) }
    }
}

/// The server that takes mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// `host:port`; port 465 speaks TLS from the start, others switch to it (STARTTLS).
    pub server: Spanned<String>,
    /// The sender's address.
    pub from: Spanned<String>,
    /// The account, where the server wants one.
    pub user: Option<Spanned<String>>,
    /// The file with its password.
    pub password_file: Option<Spanned<String>>,
    /// Whether the connection is encrypted.
    #[serde(default = "yes")]
    pub tls: bool,
}

/// Mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// Addresses.
    pub to: Vec<Spanned<String>>,
}

/// A Slack channel, through an incoming webhook.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The file with the webhook's URL, which is a secret.
    pub url_file: Spanned<String>,
    /// Whether it is another server that takes what Slack takes, such as Mattermost.
    #[serde(default)]
    pub compatible: bool,
}

/// A PagerDuty service, through its integration "Events API v2".
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDuty {
    /// The file with the integration key.
    pub key_file: Spanned<String>,
    /// Where events go, where that is not PagerDuty's usual place.
    pub url: Option<Spanned<String>>,
}

/// A server of one's own, which gets AlertManager's JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its URL, if that is no secret.
    pub url: Option<Spanned<String>>,
    /// The file with its URL, if it is one.
    pub url_file: Option<Spanned<String>>,
    /// The file with a token, sent as `Authorization: Bearer`.
    pub token_file: Option<Spanned<String>>,
}

/// A service elsewhere that raises the alarm when the monitoring falls silent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// What it wants to be asked for, if that is no secret.
    pub url: Option<Spanned<String>>,
    /// The file with the URL, if it is one.
    pub url_file: Option<Spanned<String>>,
    /// How often; it should wait for some more before it raises the alarm.
    #[serde(default = "five_minutes")]
    pub every: Time,
}

fn yes() -> bool {
    true
}

fn five_minutes() -> Time {
    Time(5 * 60)
}

/// A time in seconds, from 1 to 5 days; written as `30s`, `5m`, `12h` or `3d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub u64);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
        let seconds = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            "d" => Some(24 * 3600),
            _ => None,
        };
        let time =
            number.parse::<u64>().ok().zip(seconds).and_then(|(n, unit)| n.checked_mul(unit));
        // AlertManager forgets what it has sent after five days.
        let longest = 5 * 24 * 3600;
        time.filter(|time| (1..=longest).contains(time)).map(Self).ok_or_else(|| {
            format!("`{text}` is not a time from 1s to 5d, such as 30s, 5m, 12h or 3d")
        })
    }
}

/// As AlertManager writes times.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(24 * 3600, 'd'), (3600, 'h'), (60, 'm')];
        let unit = units.into_iter().find(|(unit, _)| self.0.is_multiple_of(*unit));
        let (unit, letter) = unit.unwrap_or((1, 's'));
        write!(f, "{}{letter}", self.0 / unit)
    }
}

impl Notifications {
    /// The kind and the name of every channel, in the order of the file's sections.
    pub fn channels(&self) -> Vec<(&'static str, &str)> {
        let mut channels = Vec::new();
        channels.extend(self.email.keys().map(|name| ("email", name.as_str())));
        channels.extend(self.slack.keys().map(|name| ("slack", name.as_str())));
        channels.extend(self.pagerduty.keys().map(|name| ("pagerduty", name.as_str())));
        channels.extend(self.webhook.keys().map(|name| ("webhook", name.as_str())));
        channels
    }
}

/// The file as it was read, for findings that name its lines.
#[derive(Debug)]
pub struct Source {
    /// Its path.
    pub path: PathBuf,
    /// Its path from the repository's root.
    pub shown: String,
    text: String,
}

impl Source {
    /// Reads the file; `None` where there is none, for then nobody is told.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn read(path: PathBuf, root: &Path) -> Result<Option<Self>> {
        let Some(text) = followed::text_optional(&path)? else { return Ok(None) };
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        Ok(Some(Self { path, shown, text }))
    }

    /// What it says.
    ///
    /// # Errors
    /// The finding that names the line which is none of this file's.
    pub fn parse(&self) -> Result<Notifications, Box<Finding>> {
        toml::from_str(&self.text).map_err(|error| {
            let line = error.span().map(|span| self.line(span.start));
            let found = error.message().trim().to_owned();
            let mend = "notifications.toml.example shows what may stand there";
            Box::new(
                Finding::error("notifications.malformed", found)
                    .at(self.shown.as_str(), line)
                    .mend(mend),
            )
        })
    }

    /// The line of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in ["1s", "90s", "5m", "12h", "3d"] {
            assert_eq!(Time::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "5", "0s", "5w", "-1s", "99999999999999999999d", "6d"] {
            assert!(Time::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_example_can_be_read_also_with_every_line_in_force() {
        let example = include_str!(
            "../../../infrastructure/docker/monitoring/alertmanager/notifications.toml.example"
        );
        let read: Notifications = toml::from_str(example).unwrap();
        assert_eq!(read.channels().len(), 3);
        let in_force = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        let all: String = example.lines().map(in_force).collect();
        let all: Notifications = toml::from_str(&all).unwrap();
        assert!(all.watchdog.is_some() && all.webhook.contains_key("bot"));
        let timing = Timing::default();
        assert_eq!(all.timing.repeat.info, timing.repeat.info, "the example shows the defaults");
        assert_eq!(all.timing.group_interval, timing.group_interval);
    }

    #[test]
    fn what_does_not_belong_there_is_named_with_its_line() {
        for (text, line, words) in [
            ("\n[slack.team]\nurl_fil = \"x\"", 3, "unknown field `url_fil`"),
            ("[routes]\nurgent = []", 2, "unknown field `urgent`, expected one of `critical`"),
            ("[email.ops]\nto = \"a@b\"", 2, "expected a sequence"),
            ("[timing]\n\ngroup_wait = \"soon\"", 3, "`soon` is not a time"),
            ("[slack.team]\n", 1, "missing field `url_file`"),
            ("routes = [", 1, ""),
        ] {
            let source =
                Source { path: PathBuf::new(), shown: "n.toml".to_owned(), text: text.to_owned() };
            let finding = source.parse().unwrap_err();
            assert_eq!(finding.line, Some(line), "{text}: {finding}");
            assert!(finding.found.contains(words), "{finding}");
        }
    }
}
