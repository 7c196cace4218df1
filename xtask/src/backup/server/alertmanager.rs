//! AlertManager: silences and the notification log. It keeps both in memory and writes them to
//! files every `--data.maintenance-interval`, which the compose file makes seconds. There is no
//! other way to the notification log; so the files are waited for until they are newer than the
//! backup's begin.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::api::Api;
use super::{Alone, Begun, Client, Part, Server, Stream, Subject};
use crate::process::check_interrupted;
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::report::units::count;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// It writes beside and renames, so each file is whole at every moment.
const COPY: &str = "exec tar -c -f - -C /data silences nflog";

/// Its time, and that of each file, in seconds since 1970.
const TIMES: &str = r#"date +%s; cd "$1"; stat -c %Y silences nflog 2>/dev/null || :"#;

/// Where it sees its data.
const PLACE: &str = "/alertmanager";

/// Longest wait for the files; several times what the compose file says.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(500);

/// With a configuration that notifies nobody.
const SERVE: &str = r#"
printf 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n' >/tmp/alertmanager.yml
exec alertmanager --config.file=/tmp/alertmanager.yml --storage.path=/data \
    --web.listen-address=127.0.0.1:9093 --cluster.listen-address="#;

const CLIENT: &str = r#"exec wget -q -O - "http://127.0.0.1:9093$1""#;

/// The silences in force or still to come when the backup began.
#[derive(Debug, Serialize, Deserialize)]
pub struct Silences {
    silences: Vec<Silence>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Silence {
    id: String,
    #[serde(alias = "endsAt")]
    ends_at: Timestamp,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(flatten)]
    silence: Silence,
    status: State,
}

#[derive(Deserialize)]
struct State {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version_info: Version,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Server for Silences {
    fn streams(subject: &Subject<'_>) -> Result<Vec<Stream>> {
        let after = "after it has written its silences to disk";
        Ok(vec![Stream::data(subject.reader(PLACE)?, COPY, after, vec![Part::new("data", 0)])])
    }

    fn begin(subject: Subject<'_>, expected: Vec<Stream>) -> Result<Begun<'_>> {
        let listed = listed(&subject.api()?)?;
        let is_wanted = |one: &Listed| one.status.state != "expired";
        let silences = listed.into_iter().filter(is_wanted).map(|listed| listed.silence).collect();
        wait_for_files(&subject)?;
        let finish = move |_: &[_]| {
            let status: Status = subject.api()?.json("/api/v2/status")?;
            subject.record(status.version_info.version, &Self { silences })
        };
        Ok((expected, Box::new(finish)))
    }

    fn alone(&self, _: &Stack, _: &Service) -> Result<Alone> {
        Ok(Alone::new(SERVE, "16m", CLIENT))
    }

    fn is_ready(&self, client: Client<'_>) -> bool {
        Api::Inside(client).get("/-/ready").is_ok()
    }

    fn compare(&self, client: Client<'_>) -> Result<Vec<Finding>> {
        Ok(self.differences(&listed(&Api::Inside(client))?, Timestamp::now()))
    }

    fn prove(&self, stack: &Stack, service: &Service, _: &str) -> Result<Vec<Finding>> {
        Ok(self.differences(&listed(&Api::of(stack, service)?)?, Timestamp::now()))
    }
}

impl Silences {
    /// Every silence is there that has not ended by `now`.
    fn differences(&self, listed: &[Listed], now: Timestamp) -> Vec<Finding> {
        let is_missing = |one: &&Silence| {
            one.ends_at > now && listed.iter().all(|listed| listed.silence.id != one.id)
        };
        let missing: Vec<_> = self.silences.iter().filter(is_missing).collect();
        if missing.is_empty() {
            let found = format!("{} and what was notified", count(self.silences.len(), "silence"));
            return vec![Finding::proven("drill.silences", found)];
        }
        let ids: Vec<_> = missing.iter().map(|one| one.id.as_str()).collect();
        let found = format!("missing silences: {}", ids.join(", "));
        vec![Finding::refuted("drill.silences", found)]
    }
}

fn listed(api: &Api) -> Result<Vec<Listed>> {
    api.json("/api/v2/silences")
}

/// Its time, and that of the older file; 0 where one is missing.
fn times(subject: &Subject) -> Result<(i64, i64)> {
    let said = subject.client(TIMES).ask(&[PLACE], "")?;
    let numbers: Vec<i64> = said.lines().filter_map(|line| line.trim().parse().ok()).collect();
    let now = *numbers.first().context("it does not say its time")?;
    Ok((now, if let [_, one, other] = numbers.as_slice() { *one.min(other) } else { 0 }))
}

/// Until both files were begun after now.
fn wait_for_files(subject: &Subject) -> Result<()> {
    let started = Instant::now();
    let (begin, _) = times(subject)?;
    // Files tell whole seconds, and the one of now may have been begun before.
    while times(subject)?.1 < begin + 2 {
        check_interrupted()?;
        if started.elapsed() > PATIENCE {
            return Err(not_written(subject).into());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn not_written(subject: &Subject) -> Problem {
    let found = format!(
        "alertmanager has not written its silences to disk for {} s: was it started without --data.maintenance-interval?",
        PATIENCE.as_secs()
    );
    Problem::failed("backup.alertmanager-files", found)
        .mend(format!("start it as the compose file says: {}", Xtask::Up(subject.stack.on())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Severity;

    #[test]
    fn a_silence_may_be_gone_once_it_has_ended() {
        let silences = r#"{"silences":[{"id":"a","ends_at":"2026-11-23T13:00:00Z"},
            {"id":"b","ends_at":"2026-11-23T14:00:00Z"}]}"#;
        let silences: Silences = serde_json::from_str(silences).unwrap();
        let there = r#"[{"id":"b","endsAt":"2026-11-23T14:00:00Z","status":{"state":"active"}}]"#;
        let there: Vec<Listed> = serde_json::from_str(there).unwrap();
        let worst = |there: &[Listed], now: &str| {
            silences.differences(there, now.parse().unwrap()).remove(0).severity
        };
        assert_eq!(worst(&there, "2026-11-23T13:30:00Z"), Severity::Ok);
        assert_eq!(worst(&there, "2026-11-23T12:30:00Z"), Severity::Error, "a is missing");
        assert_eq!(worst(&[], "2026-11-23T13:30:00Z"), Severity::Error);
        assert_eq!(worst(&[], "2026-11-23T14:30:00Z"), Severity::Ok);
    }
}
