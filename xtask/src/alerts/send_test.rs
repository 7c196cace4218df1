//! A test alert through one channel of the running AlertManager, and whether it arrived.
//!
//! AlertManager does not say what became of one alert. It counts, for each kind of channel, the
//! notifications that it began, its requests, and those of either that failed
//! (prometheus/alertmanager@v0.25.0, notify/notify.go); why one failed stands in its log, beside
//! the name of the channel. Channels are therefore tried one after the other.

use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::render::TEST_LABEL;
use crate::client::{Unanswered, http};
use crate::docker::docker;
use crate::process::check_interrupted;
use crate::stack::url::Url;

/// Between two looks at the counters.
const LOOK: Duration = Duration::from_millis(200);
/// Until the test alert is over, and the channel is told so.
const LASTS: SignedDuration = SignedDuration::from_secs(5);

/// The running AlertManager.
#[derive(Debug)]
pub struct Alertmanager {
    /// Where it answers.
    pub url: Url,
    /// Its container, for the log.
    pub container: String,
    /// Where the pages of `docs/` are, for the link in a test alert.
    pub docs_url: String,
}

/// What became of one test alert.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The channel's name.
    pub channel: String,
    /// `email`, `slack`, `pagerduty` or `webhook`.
    pub kind: &'static str,
    /// Whether the other side took it.
    pub delivered: bool,
    /// Until that was known.
    pub seconds: f64,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// AlertManager's counters of one kind of channel, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    begun: f64,
    failed: f64,
    requests: f64,
    requests_failed: f64,
}

impl Alertmanager {
    /// The names of the channels that it knows.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn receivers(&self) -> Result<Vec<String>, Unanswered> {
        #[derive(serde::Deserialize)]
        struct Receiver {
            name: String,
        }
        let receivers: Vec<Receiver> = http::get_json(&self.url, "/api/v2/receivers")?;
        Ok(receivers.into_iter().map(|receiver| receiver.name).collect())
    }

    /// Sends a test alert to one channel and waits at most `limit` for what becomes of it.
    ///
    /// # Errors
    /// When AlertManager does not answer, or the user interrupts.
    pub fn send_test(&self, kind: &'static str, channel: &str, limit: Duration) -> Result<Outcome> {
        let before = self.counts(kind)?;
        let (start, started_at) = (Instant::now(), Timestamp::now());
        let post = http::post(&self.url, "/api/v2/alerts", &self.alert(channel, started_at)?);
        post.map_err(|why| anyhow::anyhow!("sending an alert to AlertManager: {why}"))?;
        let ended = loop {
            check_interrupted()?;
            let ended = self.counts(kind)?.ended_since(&before);
            if ended.is_some() || start.elapsed() > limit {
                break ended;
            }
            std::thread::sleep(LOOK);
        };
        let error =
            match ended {
                Some(true) => self.complaint(channel, started_at),
                Some(false) => Some(self.complaint(channel, started_at).unwrap_or_else(|| {
                    "AlertManager counts a failure; its log has no reason".into()
                })),
                None => Some(self.complaint(channel, started_at).unwrap_or_else(|| {
                    format!("AlertManager says nothing of it within {} s", limit.as_secs())
                })),
            };
        let seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        Ok(Outcome {
            channel: channel.to_owned(),
            kind,
            delivered: error.is_none(),
            seconds,
            error,
        })
    }

    fn alert(&self, channel: &str, now: Timestamp) -> Result<String> {
        let ends = now.checked_add(LASTS)?;
        Ok(json!([{
            "labels": {
                "alertname": "TestNotification",
                "severity": "info",
                "service": "notifications",
                TEST_LABEL: channel,
                "test_run": now.as_nanosecond().to_string(),
            },
            "annotations": {
                "summary": format!("Test of the channel {channel}"),
                "description": "Nothing is wrong. Somebody ran `alerts send-test`; a second message says that the test is over.",
                "runbook_url": format!("{}/notifications.md", self.docs_url),
            },
            "startsAt": now.to_string(),
            "endsAt": ends.to_string(),
        }])
        .to_string())
    }

    fn counts(&self, kind: &str) -> Result<Counts> {
        let text = http::get(&self.url, "/metrics")
            .map_err(|why| anyhow::anyhow!("asking AlertManager for its metrics: {why}"))?;
        Ok(Counts::of(&text, kind))
    }

    /// Why a message of `channel` has failed since, if one has.
    fn complaint(&self, channel: &str, since: Timestamp) -> Option<String> {
        let since = since.to_string();
        let output = docker().args(["logs", "--since", &since, &self.container]).output().ok()?;
        complaint(&format!("{}\n{}", output.stdout, output.stderr), channel)
    }
}

impl Counts {
    /// Reads AlertManager's metrics; a counter may have further labels, such as a reason.
    fn of(metrics: &str, kind: &str) -> Self {
        let label = format!("integration=\"{kind}\"");
        let sum = |name: &str| -> f64 {
            let values = metrics.lines().filter_map(|line| {
                let labels = line.strip_prefix(name)?.strip_prefix('{')?;
                let (labels, value) = labels.split_once('}')?;
                labels.contains(&label).then(|| value.trim().parse::<f64>().ok()).flatten()
            });
            values.sum()
        };
        Self {
            begun: sum("alertmanager_notifications_total"),
            failed: sum("alertmanager_notifications_failed_total"),
            requests: sum("alertmanager_notification_requests_total"),
            requests_failed: sum("alertmanager_notification_requests_failed_total"),
        }
    }

    /// Whether what has begun since `before` has ended, and if so, whether some of it succeeded.
    fn ended_since(&self, before: &Self) -> Option<bool> {
        let begun = self.begun - before.begun;
        let failed = self.failed - before.failed;
        let good = self.requests - self.requests_failed;
        let succeeded = good - (before.requests - before.requests_failed);
        (begun >= 1.0 && succeeded + failed >= begun).then_some(succeeded >= 1.0)
    }
}

/// The last reason in AlertManager's log that names `channel`.
fn complaint(log: &str, channel: &str) -> Option<String> {
    let (attempt, end) = (format!("receiver={channel} "), format!("err=\"{channel}/"));
    let names_it =
        |line: &&str| line.contains("err=") && (line.contains(&attempt) || line.contains(&end));
    let line = log.lines().rfind(names_it)?;
    let (_, error) = line.split_once("err=")?;
    Some(error.trim().trim_matches('"').replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"
# TYPE alertmanager_notifications_total counter
alertmanager_notifications_total{integration="email"} 5
alertmanager_notifications_total{integration="slack"} 9
alertmanager_notifications_failed_total{integration="email",reason="clientError"} 1
alertmanager_notifications_failed_total{integration="email",reason="other"} 1
alertmanager_notification_requests_total{integration="email"} 8
alertmanager_notification_requests_failed_total{integration="email"} 5
"#;

    #[test]
    fn the_counters_of_one_kind_are_read_with_whatever_labels() {
        let counts = Counts::of(METRICS, "email");
        assert_eq!(counts, Counts { begun: 5.0, failed: 2.0, requests: 8.0, requests_failed: 5.0 });
        assert_eq!(Counts::of(METRICS, "webhook"), Counts::default());
    }

    #[test]
    fn a_notification_has_ended_when_a_request_succeeded_or_all_have_failed() {
        let before = Counts { begun: 5.0, failed: 2.0, requests: 8.0, requests_failed: 5.0 };
        let after = |begun, failed, requests, requests_failed| {
            let now = Counts {
                begun: before.begun + begun,
                failed: before.failed + failed,
                requests: before.requests + requests,
                requests_failed: before.requests_failed + requests_failed,
            };
            now.ended_since(&before)
        };
        assert_eq!(after(0.0, 0.0, 0.0, 0.0), None, "not begun");
        assert_eq!(after(1.0, 0.0, 2.0, 2.0), None, "still trying");
        assert_eq!(after(1.0, 0.0, 3.0, 2.0), Some(true), "at the third attempt");
        assert_eq!(after(1.0, 1.0, 3.0, 3.0), Some(false), "given up");
        assert_eq!(after(2.0, 0.0, 1.0, 0.0), None, "another one is still under way");
    }

    #[test]
    fn the_reason_is_taken_from_the_line_that_names_the_channel() {
        let log = r#"ts=1 level=warn component=dispatcher receiver=team integration=slack[0] msg="Notify attempt failed, will retry later" attempts=1 err="status 500"
ts=2 level=error component=dispatcher msg="Notify for alerts failed" num_alerts=1 err="team/slack[0]: notify retry canceled after 4 attempts: channel \"x\" is gone"
ts=3 level=error component=dispatcher msg="Notify for alerts failed" num_alerts=1 err="team-2/slack[0]: other""#;
        let expected =
            "team/slack[0]: notify retry canceled after 4 attempts: channel \"x\" is gone";
        assert_eq!(complaint(log, "team").as_deref(), Some(expected));
        assert_eq!(complaint(log, "pager"), None);
    }
}
