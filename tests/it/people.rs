//! Those whom the tests tell of alerts: a mail server in a container, and channels of every kind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tests::receiver::Receiver;
use tests::{Part, Site, docker, net};

/// Goes with requests to the webhook.
pub(crate) const TOKEN: &str = "token-of-the-webhook";
/// The integration key of PagerDuty.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A mail server on the monitoring network; removed when dropped.
pub(crate) struct Mail(String);

impl Mail {
    pub(crate) fn start(part: &Part<'_>) -> Self {
        let mail = Self(format!("{}-mail", part.project()));
        start_mailhog(part, &mail.0);
        net::eventually("the mail server answers", || mail.inbox().is_some());
        mail
    }

    /// Its container, by which others on the network know it too.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Every message with its long lines put together again, which quoted-printable breaks.
    pub(crate) fn inbox(&self) -> Option<Vec<String>> {
        let get = "printf 'GET /api/v2/messages HTTP/1.0\\r\\n\\r\\n' | nc 127.0.0.1 8025";
        let text = docker(&["exec", &self.0, "sh", "-c", get]);
        let (_, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"))?;
        let answer: Value = serde_json::from_str(body).ok()?;
        let text = |item: &Value| item["Raw"]["Data"].as_str().unwrap().to_owned();
        let whole = |mail: String| mail.replace("=\r\n", "").replace("=3D", "=");
        Some(answer["items"].as_array()?.iter().map(text).map(whole).collect())
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, words: &[&str]) -> String {
        let mut found = None;
        net::eventually(&format!("a mail with {words:?}"), || {
            let mut mails = self.inbox().unwrap_or_default().into_iter();
            found = mails.find(|mail| words.iter().all(|word| mail.contains(word)));
            found.is_some()
        });
        found.unwrap()
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

/// Starts a MailHog called `name` on the monitoring network.
pub(crate) fn start_mailhog(part: &Part<'_>, name: &str) {
    let image = Site::offline_or("mailhog", "double", "mailhog/mailhog:latest");
    docker(&["run", "--detach", "--name", name, "--network", &network(part), &image]);
}

fn network(part: &Part<'_>) -> String {
    format!("{}_monitoring", part.project())
}

/// Writes a file of AlertManager's folder.
pub(crate) fn write(part: &Part<'_>, name: &str, text: &str) {
    fs::write(part.folder().join("alertmanager").join(name), text).unwrap();
}

/// Writes a secret of a channel.
pub(crate) fn secret(part: &Part<'_>, name: &str, text: &str) {
    let folder = part.folder().join("alertmanager/secrets");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// One channel of each kind, all to this test; the webhook to the path `webhook`. Writes their
/// secrets, and gives what belongs into notifications.toml.
pub(crate) fn channels(part: &Part<'_>, mail: &Mail, receiver: &Receiver, webhook: &str) -> String {
    let network = network(part);
    secret(part, "slack-url", &format!("{}\n", receiver.url(&network, "/slack")));
    secret(part, "pagerduty-key", &format!(" {KEY}\n"));
    secret(part, "bot-token", TOKEN);
    format!(
        r#"
        [routes]
        critical = ["mail", "team", "on-call", "bot"]
        warning = ["mail"]
        [timing]
        group_wait = "1s"
        group_interval = "1s"
        [smtp]
        server = "{mail}:1025"
        from = "alerts@example.org"
        tls = false
        [email.mail]
        to = ["operators@example.org"]
        [slack.team]
        url_file = "secrets/slack-url"
        compatible = true
        [pagerduty.on-call]
        key_file = "secrets/pagerduty-key"
        url = "{pagerduty}"
        [webhook.bot]
        url = "{webhook}"
        token_file = "secrets/bot-token"
        "#,
        mail = mail.name(),
        pagerduty = receiver.url(&network, "/pagerduty"),
        webhook = receiver.url(&network, webhook),
    )
}
