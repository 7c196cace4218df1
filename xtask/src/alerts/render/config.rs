//! AlertManager's configuration as its file has it (format of 0.25); no more than is used. Its keys
//! are explained at <https://prometheus.io/docs/alerting/0.25/configuration/>.

use std::collections::BTreeMap;

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) global: Option<Global>,
    pub(super) templates: Vec<&'static str>,
    pub(super) route: Route,
    pub(super) inhibit_rules: Vec<InhibitRule>,
    pub(super) receivers: Vec<Receiver>,
}

#[derive(Serialize)]
pub(super) struct Global {
    pub(super) smtp_smarthost: String,
    pub(super) smtp_from: String,
    pub(super) smtp_require_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) smtp_auth_username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) smtp_auth_password_file: Option<String>,
}

#[derive(Default, Serialize)]
pub(super) struct Route {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) matchers: Vec<String>,
    pub(super) receiver: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) group_by: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group_wait: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group_interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repeat_interval: Option<String>,
    #[serde(rename = "continue", skip_serializing_if = "std::ops::Not::not")]
    pub(super) go_on: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) routes: Vec<Route>,
}

#[derive(Serialize)]
pub(super) struct InhibitRule {
    pub(super) source_matchers: [&'static str; 1],
    pub(super) target_matchers: [&'static str; 1],
    pub(super) equal: &'static [&'static str],
}

#[derive(Default, Serialize)]
pub(super) struct Receiver {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) email_configs: Option<[EmailConfig; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slack_configs: Option<[SlackConfig; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pagerduty_configs: Option<[PagerDutyConfig; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_configs: Option<[WebhookConfig; 1]>,
}

#[derive(Serialize)]
pub(super) struct EmailConfig {
    pub(super) to: String,
    pub(super) headers: BTreeMap<&'static str, &'static str>,
    pub(super) html: &'static str,
    pub(super) text: &'static str,
    pub(super) send_resolved: bool,
}

#[derive(Serialize)]
pub(super) struct SlackConfig {
    pub(super) api_url_file: String,
    pub(super) color: &'static str,
    pub(super) fallback: &'static str,
    pub(super) title: &'static str,
    pub(super) title_link: &'static str,
    pub(super) text: &'static str,
    pub(super) send_resolved: bool,
}

#[derive(Serialize)]
pub(super) struct PagerDutyConfig {
    pub(super) routing_key_file: String,
    pub(super) url: String,
    pub(super) severity: &'static str,
    pub(super) description: &'static str,
    pub(super) client: &'static str,
    pub(super) client_url: &'static str,
    pub(super) class: &'static str,
    pub(super) component: &'static str,
    pub(super) details: BTreeMap<&'static str, &'static str>,
    pub(super) links: [Link; 2],
    pub(super) send_resolved: bool,
}

#[derive(Serialize)]
pub(super) struct Link {
    pub(super) href: &'static str,
    pub(super) text: &'static str,
}

#[derive(Serialize)]
pub(super) struct WebhookConfig {
    pub(super) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http_config: Option<HttpConfig>,
    pub(super) send_resolved: bool,
}

#[derive(Serialize)]
pub(super) struct HttpConfig {
    pub(super) authorization: Authorization,
}

#[derive(Serialize)]
pub(super) struct Authorization {
    pub(super) credentials_file: String,
}
