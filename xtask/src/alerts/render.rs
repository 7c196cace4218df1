//! AlertManager's configuration (format of 0.25) from notifications.toml.

mod config;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use toml::Spanned;

use self::config::{
    Authorization, Config, EmailConfig, Global, HttpConfig, InhibitRule, Link, PagerDutyConfig,
    Receiver, Route, SlackConfig, WebhookConfig,
};
use super::judge::Secrets;
use super::notifications::{Notifications, Time};
use super::secrets;
use crate::secret::Secret;

/// Where AlertManager sees the secrets.
const SECRETS: &str = "/etc/generated/secrets";
/// Where it sees the templates of messages.
const TEMPLATES: &str = "/etc/alertmanager/templates/*.tmpl";
/// The receiver that tells nobody.
const NOBODY: &str = "nobody";
/// The receiver of the alert that always fires.
const WATCHDOG: &str = "watchdog";
/// The label of a test alert; its value is the channel.
pub(super) const TEST_LABEL: &str = "test_channel";

const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// What AlertManager is given.
#[derive(Debug)]
pub(super) struct Rendered {
    /// Its configuration. A URL that 0.25 cannot read from a file stands in it.
    pub(super) config: String,
    /// The files that it names, by their names.
    pub(super) secrets: BTreeMap<String, Secret>,
}

/// Makes the configuration.
///
/// # Errors
/// When a secret that is named is not among `secrets`.
pub(super) fn render(notifications: &Notifications, secrets: &Secrets) -> Result<Rendered> {
    let mut renderer = Renderer { notifications, secrets, used: BTreeMap::new() };
    let config = Config {
        global: renderer.global()?,
        templates: vec![TEMPLATES],
        route: renderer.route(),
        inhibit_rules: inhibit_rules(),
        receivers: renderer.receivers()?,
    };
    let config = yaml_serde::to_string(&config).context("writing AlertManager's configuration")?;
    Ok(Rendered { config: format!("{HEADER}{config}"), secrets: renderer.used })
}

const HEADER: &str = "# Made of notifications.toml by `cargo xtask alerts render`.\n";

struct Renderer<'a> {
    notifications: &'a Notifications,
    secrets: &'a Secrets,
    used: BTreeMap<String, Secret>,
}

impl Renderer<'_> {
    fn global(&mut self) -> Result<Option<Global>> {
        let Some(smtp) = &self.notifications.smtp else { return Ok(None) };
        let password = smtp.password_file.as_ref().map(|file| self.file(file)).transpose()?;
        Ok(Some(Global {
            smtp_smarthost: smtp.server.as_ref().clone(),
            smtp_from: smtp.from.as_ref().clone(),
            smtp_require_tls: smtp.tls,
            smtp_auth_username: smtp.user.as_ref().map(|user| user.as_ref().clone()),
            smtp_auth_password_file: password,
        }))
    }

    fn route(&self) -> Route {
        let timing = &self.notifications.timing;
        let mut routes = vec![self.watchdog_route(), self.test_route()];
        let repeat = &timing.repeat;
        // What has no known severity is rather told as a warning than lost.
        for (matcher, channels, repeat) in [
            (r#"severity="critical""#, &self.notifications.routes.critical, repeat.critical),
            (r#"severity="info""#, &self.notifications.routes.info, repeat.info),
            (r#"severity!="none""#, &self.notifications.routes.warning, repeat.warning),
        ] {
            let to = |channel: &Spanned<String>| Route {
                receiver: channel.as_ref().clone(),
                go_on: true,
                ..Route::default()
            };
            routes.push(Route {
                matchers: vec![matcher.to_owned()],
                receiver: NOBODY.to_owned(),
                repeat_interval: Some(repeat.to_string()),
                routes: channels.iter().map(to).collect(),
                ..Route::default()
            });
        }
        Route {
            receiver: NOBODY.to_owned(),
            group_by: vec!["alertname", "service"],
            group_wait: Some(timing.group_wait.to_string()),
            group_interval: Some(timing.group_interval.to_string()),
            routes,
            ..Route::default()
        }
    }

    /// The sign of life, sent again at each interval: what is to be repeated must be older than
    /// `repeat_interval` by then, and the last message took its time.
    fn watchdog_route(&self) -> Route {
        let watchdog = self.notifications.watchdog.as_ref();
        let every = watchdog.map(|watchdog| watchdog.every);
        let half = every.map(|every| Time((every.0 / 2).max(1)).to_string());
        Route {
            matchers: vec![r#"alertname="Watchdog""#.to_owned()],
            receiver: watchdog.map_or(NOBODY, |_| WATCHDOG).to_owned(),
            group_wait: every.map(|_| "0s".to_owned()),
            group_interval: every.map(|every| every.to_string()),
            repeat_interval: half,
            ..Route::default()
        }
    }

    /// One test alert, to the one channel that it names, at once.
    fn test_route(&self) -> Route {
        let to = |(_, name): (&str, &str)| Route {
            matchers: vec![equals(TEST_LABEL, name)],
            receiver: name.to_owned(),
            ..Route::default()
        };
        Route {
            matchers: vec![format!("{TEST_LABEL}!=\"\"")],
            receiver: NOBODY.to_owned(),
            group_by: vec![TEST_LABEL, "test_run"],
            group_wait: Some("0s".to_owned()),
            // AlertManager stops trying after this time too.
            group_interval: Some("10s".to_owned()),
            routes: self.notifications.channels().into_iter().map(to).collect(),
            ..Route::default()
        }
    }

    fn receivers(&mut self) -> Result<Vec<Receiver>> {
        let notifications = self.notifications;
        let named = |name: &str| Receiver { name: name.to_owned(), ..Receiver::default() };
        let mut receivers = vec![named(NOBODY)];
        for (name, email) in &notifications.email {
            let config = self.email(&email.to);
            receivers.push(Receiver { email_configs: Some([config]), ..named(name) });
        }
        for (name, slack) in &notifications.slack {
            let config = self.slack(&slack.url_file)?;
            receivers.push(Receiver { slack_configs: Some([config]), ..named(name) });
        }
        for (name, pagerduty) in &notifications.pagerduty {
            let config = self.pagerduty(&pagerduty.key_file, pagerduty.url.as_ref())?;
            receivers.push(Receiver { pagerduty_configs: Some([config]), ..named(name) });
        }
        for (name, webhook) in &notifications.webhook {
            let token = webhook.token_file.as_ref().map(|file| self.file(file)).transpose()?;
            let authorization = |credentials_file| Authorization { credentials_file };
            let config = WebhookConfig {
                url: self.place(webhook.url.as_ref(), webhook.url_file.as_ref())?,
                http_config: token
                    .map(authorization)
                    .map(|authorization| HttpConfig { authorization }),
                send_resolved: true,
            };
            receivers.push(Receiver { webhook_configs: Some([config]), ..named(name) });
        }
        if let Some(watchdog) = &notifications.watchdog {
            let url = self.place(watchdog.url.as_ref(), watchdog.url_file.as_ref())?;
            let config = WebhookConfig { url, http_config: None, send_resolved: false };
            receivers.push(Receiver { webhook_configs: Some([config]), ..named(WATCHDOG) });
        }
        Ok(receivers)
    }

    fn email(&self, to: &[Spanned<String>]) -> EmailConfig {
        let to: Vec<_> = to.iter().map(|address| address.as_ref().as_str()).collect();
        EmailConfig {
            to: to.join(", "),
            headers: BTreeMap::from([("Subject", r#"{{ template "notify.title" . }}"#)]),
            html: r#"{{ template "notify.email.html" . }}"#,
            text: r#"{{ template "notify.email.text" . }}"#,
            send_resolved: true,
        }
    }

    fn slack(&mut self, file: &Spanned<String>) -> Result<SlackConfig> {
        Ok(SlackConfig {
            api_url_file: self.file(file)?,
            color: r#"{{ template "notify.slack.color" . }}"#,
            fallback: r#"{{ template "notify.slack.title" . }}"#,
            title: r#"{{ template "notify.slack.title" . }}"#,
            title_link: r#"{{ template "notify.link" . }}"#,
            text: r#"{{ template "notify.slack.text" . }}"#,
            send_resolved: true,
        })
    }

    fn pagerduty(
        &mut self,
        file: &Spanned<String>,
        url: Option<&Spanned<String>>,
    ) -> Result<PagerDutyConfig> {
        Ok(PagerDutyConfig {
            routing_key_file: self.file(file)?,
            url: url.map_or(PAGERDUTY, |url| url.as_ref()).to_owned(),
            severity: r#"{{ template "notify.pagerduty.severity" . }}"#,
            description: r#"{{ template "notify.title" . }}"#,
            client: "Case Interview Practice Platform",
            client_url: r#"{{ template "notify.link" . }}"#,
            class: "{{ .CommonLabels.alertname }}",
            component: "{{ .CommonLabels.service }}",
            details: BTreeMap::from([("alerts", r#"{{ template "notify.email.text" . }}"#)]),
            links: [
                Link { href: r#"{{ template "notify.runbook" . }}"#, text: "Runbook" },
                Link { href: r#"{{ template "notify.dashboard" . }}"#, text: "Dashboard" },
            ],
            send_resolved: true,
        })
    }

    /// A URL, which AlertManager 0.25 takes from no file (0.26 does).
    fn place(
        &self,
        url: Option<&Spanned<String>>,
        file: Option<&Spanned<String>>,
    ) -> Result<String> {
        match (url, file) {
            (Some(url), _) => Ok(url.as_ref().clone()),
            (None, Some(file)) => Ok(self.secret(file)?.reveal().to_owned()),
            (None, None) => anyhow::bail!("a webhook without a URL"),
        }
    }

    fn secret(&self, file: &Spanned<String>) -> Result<&Secret> {
        let path = file.as_ref();
        self.secrets.get(path).with_context(|| format!("{path} was not read"))
    }

    /// Where AlertManager finds the secret.
    fn file(&mut self, file: &Spanned<String>) -> Result<String> {
        let secret = self.secret(file)?.clone();
        let name = secrets::name(file.as_ref()).context("a secret outside its folder")?;
        self.used.insert(name.to_owned(), secret);
        Ok(format!("{SECRETS}/{name}"))
    }
}

/// A matcher for what has `value` as its `label`.
fn equals(label: &'static str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{label}=\"{value}\"")
}

/// The same thing: the same service, on the same instance, and there the same disk or container.
const SAME: &[&str] = &["service", "instance", "mountpoint", "name"];

/// What is worse silences what is less bad about the same thing.
fn inhibit_rules() -> Vec<InhibitRule> {
    [
        (r#"severity="critical""#, r#"severity=~"warning|info""#),
        (r#"severity="warning""#, r#"severity="info""#),
    ]
    .map(|(worse, lesser)| InhibitRule {
        source_matchers: [worse],
        target_matchers: [lesser],
        equal: SAME,
    })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: &str = include_str!("../../../tests/assets/notifications.toml");
    const RENDERED: &str = include_str!("../../../tests/assets/notifications.yml");

    fn rendered(text: &str) -> Rendered {
        let paths = ["smtp-password", "slack-url", "pagerduty-key", "bot-url", "bot-token"];
        let secret = |name: &&str| match *name {
            "bot-url" => Secret::new("https://bot.example.org/rendered-secret"),
            name => Secret::new(format!("what {name} holds")),
        };
        let secrets = paths.iter().map(|name| (format!("secrets/{name}"), secret(name))).collect();
        render(&toml::from_str(text).unwrap(), &secrets).unwrap()
    }

    /// tests/it/notifications.rs asks amtool where this configuration sends what.
    #[test]
    fn every_kind_of_channel_becomes_a_receiver_of_its_name() {
        let rendered = rendered(EVERYTHING);
        assert_eq!(rendered.config, RENDERED);
        let names: Vec<_> = rendered.secrets.keys().map(String::as_str).collect();
        assert_eq!(names, ["bot-token", "pagerduty-key", "slack-url", "smtp-password"]);
        assert!(!rendered.config.contains("holds"), "a secret that has a file stands only there");
    }

    #[test]
    fn without_a_channel_nobody_is_told() {
        let rendered = rendered("");
        let config: yaml_serde::Value = yaml_serde::from_str(&rendered.config).unwrap();
        let receivers = config["receivers"].as_sequence().unwrap();
        assert_eq!(receivers.len(), 1);
        assert_eq!(receivers[0]["name"], "nobody");
        assert!(!rendered.config.contains("_configs") && rendered.secrets.is_empty());
    }
}
