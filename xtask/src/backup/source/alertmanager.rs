//! AlertManager: silences and the notification log. It keeps both in memory and writes them to
//! files every `--data.maintenance-interval`, which the compose file makes seconds. There is no
//! other way to the notification log; so the files are waited for until they are newer than the
//! backup's begin.

pub mod facts;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Deserialize;

pub use self::facts::{Facts, Silence};
use super::api::Api;
use super::{Client, Part, Source, Stream, Subject};
use crate::backup::set::Content;
use crate::docker::helper::Helper;
use crate::process::{Output, check_interrupted};
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::report::units::count;

/// It writes beside and renames, so each file is whole at every moment.
const COPY: &str = "exec tar -c -f - -C /data silences nflog";

/// Its time, and that of each file, in seconds since 1970.
const TIMES: &str = r#"date +%s; cd "$1"; stat -c %Y silences nflog 2>/dev/null || :"#;

/// Where it sees its data.
const PLACE: &str = "/alertmanager";

/// Longest wait for the files; several times what the compose file says.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(500);

/// Nobody is told anything.
const SERVE: &str = r#"
printf 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n' >/tmp/alertmanager.yml
exec alertmanager --config.file=/tmp/alertmanager.yml --storage.path=/data \
    --web.listen-address=127.0.0.1:9093 --cluster.listen-address="#;

const CLIENT: &str = r#"exec wget -q -O - "http://127.0.0.1:9093$1""#;

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

/// The backup of one server.
pub struct Backup<'a> {
    subject: Subject<'a>,
    silences: Vec<Silence>,
}

impl<'a> Backup<'a> {
    /// Of this one.
    pub fn new(subject: Subject<'a>) -> Self {
        Self { subject, silences: Vec::new() }
    }

    fn api(&self) -> Result<Api<'static>> {
        Api::of(self.subject.stack, self.subject.service)
    }

    /// Its time, and that of the older file; 0 where one is missing.
    fn times(&self) -> Result<(i64, i64)> {
        let client = Client { id: &self.subject.container.id, script: TIMES };
        let said = client.ask(&[PLACE], "")?;
        let numbers: Vec<i64> = said.lines().filter_map(|line| line.trim().parse().ok()).collect();
        let now = *numbers.first().context("it does not say its time")?;
        Ok((now, if let [_, one, other] = numbers.as_slice() { *one.min(other) } else { 0 }))
    }

    /// Until both files were begun after now.
    fn wait_for_files(&self) -> Result<()> {
        let started = Instant::now();
        let (begin, _) = self.times()?;
        // Files tell whole seconds, and the one of now may have been begun before.
        while self.times()?.1 < begin + 2 {
            check_interrupted()?;
            if started.elapsed() > PATIENCE {
                return Err(not_written(&self.subject).into());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

fn not_written(subject: &Subject) -> Problem {
    let found = format!(
        "alertmanager has not written its silences to disk for {} s: was it started without --data.maintenance-interval?",
        PATIENCE.as_secs()
    );
    Problem::failed("backup.alertmanager-files", found)
        .mend(format!("start it as the compose file says: {}", Xtask::Up(subject.stack.on())))
}

impl Source for Backup<'_> {
    fn streams(&self) -> Result<Vec<Stream>> {
        let data = self.subject.data(PLACE)?;
        let image = &self.subject.container.image;
        let helper = Helper::new(&self.subject.stack.project(), image).mount(&data, "/data:ro")?;
        let script = COPY;
        let parts = vec![Part::new("data", 0)];
        Ok(vec![Stream {
            content: Content::Data,
            helper,
            script,
            args: Vec::new(),
            input: None,
            parts,
        }])
    }

    fn begin(&mut self, expected: Vec<Stream>) -> Result<Vec<Stream>> {
        let listed = silences(&self.api()?)?;
        let is_wanted = |one: &Listed| one.status.state != "expired";
        self.silences = listed.into_iter().filter(is_wanted).map(|listed| listed.silence).collect();
        self.wait_for_files()?;
        Ok(expected)
    }

    fn finish(&mut self, _: &[Output]) -> Result<super::Facts> {
        let status: Status = self.api()?.json("/api/v2/status")?;
        Ok(super::Facts::Alertmanager(Facts {
            version: status.version_info.version,
            silences: std::mem::take(&mut self.silences),
        }))
    }
}

fn silences(api: &Api) -> Result<Vec<Listed>> {
    api.json("/api/v2/silences")
}

/// The server for restored data.
pub fn server() -> super::Server {
    super::Server {
        script: SERVE,
        args: Vec::new(),
        options: vec![("--tmpfs", "/tmp:size=16m,mode=1777".to_owned())],
        client: CLIENT,
    }
}

impl Facts {
    /// Every silence is there that has not ended since.
    pub(super) fn compare(&self, api: &Api) -> Result<Vec<Finding>> {
        let listed = silences(api)?;
        let now = Timestamp::now();
        let is_missing = |one: &&Silence| {
            one.ends_at > now && listed.iter().all(|listed| listed.silence.id != one.id)
        };
        let missing: Vec<_> = self.silences.iter().filter(is_missing).collect();
        if missing.is_empty() {
            let found = format!("{} and what was notified", count(self.silences.len(), "silence"));
            return Ok(vec![Finding::ok("drill.silences", found)]);
        }
        let ids: Vec<_> = missing.iter().map(|one| one.id.as_str()).collect();
        let found = format!("missing silences: {}", ids.join(", "));
        Ok(vec![Finding::error("drill.silences", found)])
    }
}
