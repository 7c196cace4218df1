//! A container's health check: what it asks, and what its last answer was.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::Container;
use crate::docker::docker;
use crate::process::Cmd;

/// What the engine waits between two questions, and for an answer, where nothing is stated.
const USUAL: Duration = Duration::from_secs(30);

/// What the engine remembers of a container's health check.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health {
    status: String,
    #[serde(default)]
    log: Option<Vec<Answer>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    exit_code: i64,
}

impl Health {
    /// `starting`, `healthy` or `unhealthy`, by the last answer. The engine's own word is
    /// `unhealthy` too for a container that was paused, until it has asked again.
    fn verdict(&self) -> &str {
        let last = self.log.iter().flatten().last();
        match (self.status.as_str(), last.map(|answer| answer.exit_code)) {
            ("unhealthy", Some(0)) => "healthy",
            ("unhealthy", None) => "starting",
            (status, _) => status,
        }
    }
}

/// A health check as the container was made with.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HealthCheck {
    #[serde(default)]
    test: Vec<String>,
    #[serde(default, deserialize_with = "nanoseconds")]
    interval: Duration,
    #[serde(default, deserialize_with = "nanoseconds")]
    timeout: Duration,
}

impl HealthCheck {
    /// Longest until the engine has asked once and has the answer.
    fn round(&self) -> Duration {
        let stated = |time: Duration| if time.is_zero() { USUAL } else { time };
        stated(self.interval) + stated(self.timeout)
    }
}

fn nanoseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_nanos)
}

impl Container {
    /// What its health check last said: `starting`, `healthy` or `unhealthy`.
    pub fn health(&self) -> Option<&str> {
        self.state.health.as_ref().map(Health::verdict)
    }

    /// Whether the engine calls it healthy, or has nothing to ask it.
    pub fn is_called_healthy(&self) -> bool {
        self.is_running()
            && self.state.health.as_ref().is_none_or(|health| health.status == "healthy")
    }

    /// Longest until the engine knows what its health check says now.
    pub fn health_round(&self) -> Duration {
        self.config.healthcheck.as_ref().map(HealthCheck::round).unwrap_or_default()
    }

    /// What its health check asks, to be asked now; `None` where it has none.
    pub fn health_question(&self) -> Option<Cmd> {
        let test = self.config.healthcheck.as_ref()?.test.as_slice();
        let exec = docker().args(["exec", &self.id]);
        match test {
            [kind, script] if kind == "CMD-SHELL" => Some(exec.args(["sh", "-c", script])),
            [kind, args @ ..] if kind == "CMD" => Some(exec.args(args)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: &str, exit_codes: &[i64]) -> String {
        let log: Vec<_> =
            exit_codes.iter().map(|code| serde_json::json!({ "ExitCode": code })).collect();
        let health = serde_json::json!({ "Status": status, "Log": log });
        serde_json::from_value::<Health>(health).unwrap().verdict().to_owned()
    }

    #[test]
    fn the_last_answer_counts_and_not_the_word_that_a_pause_has_set() {
        for (status, answers, expected) in [
            ("unhealthy", &[1, 0][..], "healthy"),
            ("unhealthy", &[0, 1], "unhealthy"),
            ("unhealthy", &[], "starting"),
            ("healthy", &[0, 1], "healthy"),
            ("starting", &[1], "starting"),
        ] {
            assert_eq!(verdict(status, answers), expected, "{status} {answers:?}");
        }
        let without_log: Health =
            serde_json::from_str(r#"{"Status":"starting","Log":null}"#).unwrap();
        assert_eq!(without_log.verdict(), "starting");
    }
}
