//! Grafana: its SQLite database, copied with its journal while the container stands still for a
//! moment, which is what a power cut would leave and SQLite opens; and its other files.

pub mod facts;
mod questions;

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

pub use self::facts::Facts;
pub use self::questions::{look_through, server, set_password};
use super::api::Api;
use super::{Part, Source, Stream, Subject};
use crate::backup::set::Content;
use crate::backup::undo_log::{self, Step};
use crate::docker::docker;
use crate::docker::helper::Helper;
use crate::docker::volume::Volume;
use crate::process::{Output, check_interrupted};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::stack::url::encode;

/// Where it sees its data.
const PLACE: &str = "/var/lib/grafana";

/// Bytes of the database, then of all.
const SIZES: &str =
    r#"cd /data; [ -f grafana.db ] || exit 0; du -ck grafana.db* | tail -n 1; du -sk ."#;

/// Ready before the container is paused, since to start a helper takes longer than to copy.
const HOLD: &str = r#"
echo ready; read -r _
cp /data/grafana.db* /copy/
echo copied; read -r _ || :"#;

const COPY_DATABASE: &str = "exec tar -c -f - -C /copy .";

/// Plugins and whatever else is there; neither links nor sockets. Their names are arguments, since
/// not every BusyBox has `tar -T`, and a name with a line break becomes one of its own. GNU tar
/// would read backslashes in them.
const COPY_FILES: &str = r#"
cd /data
case "$(tar --version 2>&1)" in *GNU*) literal=--no-unquote ;; *) literal= ;; esac
broken='*
*'
files() { find . -type f ! -path './grafana.db' ! -path './grafana.db-*' "$@"; }
IFS='
'
set -f
if [ -z "$(files -path "$broken")" ]; then
    exec tar -c -f - --no-recursion $literal . $(files)
fi
files -path "$broken" -exec tar -c -f - --no-recursion $literal . $(files ! -path "$broken") {} +"#;

/// Longest that it may stand still.
const PATIENCE: Duration = Duration::from_secs(60);

/// On a busy machine the kernel may fail to freeze a container at the first try ("unable to freeze",
/// seen with runc 1.1 on cgroup v1).
const PAUSE_TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// What can be asked of it.
#[derive(Debug)]
struct Look {
    dashboards: Vec<String>,
    users: u64,
}

#[derive(Deserialize)]
struct Health {
    version: String,
}

#[derive(Deserialize)]
struct Hit {
    uid: String,
}

#[derive(Deserialize)]
struct Dashboard {
    meta: Meta,
}

#[derive(Deserialize)]
struct Meta {
    provisioned: bool,
}

#[derive(Deserialize)]
struct Stats {
    users: u64,
}

/// The backup of one server.
pub struct Backup<'a> {
    subject: Subject<'a>,
    copy: Option<Volume>,
    before: Option<Look>,
    paused: Duration,
}

impl<'a> Backup<'a> {
    /// Of this one.
    pub fn new(subject: Subject<'a>) -> Self {
        Self { subject, copy: None, before: None, paused: Duration::ZERO }
    }

    fn api(&self) -> Result<Api<'static>> {
        Api::of(self.subject.stack, self.subject.service)
    }

    fn helper(&self) -> Helper {
        Helper::new(&self.subject.stack.project(), &self.subject.container.image)
    }

    /// Copies the database into `volume` while nobody writes to it.
    fn copy(&mut self, volume: &Volume) -> Result<()> {
        let Subject { stack, container, .. } = self.subject;
        let data = self.subject.data(PLACE)?;
        let helper = self.helper().mount(&data, "/data:ro")?.volume(volume.name(), "/copy");
        let mut holder = helper.cmd(HOLD, &[]).time_limit(PATIENCE).talk()?;
        let mut said = [0; 6];
        let mut expect = |word: &[u8; 6], holder: &mut crate::process::Dialogue| -> Result<()> {
            if let Err(error) = holder.read_exact(&mut said) {
                return Err(holder.failure().unwrap_or(error.into()));
            }
            ensure!(said == *word, "the helper does not copy the database");
            Ok(())
        };
        expect(b"ready\n", &mut holder)?;
        let paused = Step::Paused { container: container.id.as_str().try_into()? };
        undo_log::record(stack, &paused)?;
        let pause = Pause::begin(&container.id)?;
        let copied = holder.say(b"\n").and_then(|()| expect(b"copied", &mut holder));
        self.paused = pause.end()?;
        undo_log::forget(stack)?;
        copied.context("copying the database")?;
        // It has ended then, and holds the volume no more.
        holder.failure().map_or(Ok(()), Err)
    }
}

impl Source for Backup<'_> {
    fn streams(&self) -> Result<Vec<Stream>> {
        let data = self.subject.data(PLACE)?;
        let helper = self.helper().mount(&data, "/data:ro")?;
        let said = helper.cmd(SIZES, &[]).read()?;
        let kib = |line: &str| line.split_whitespace().next()?.parse::<u64>().ok();
        let sizes: Vec<_> = said.lines().filter_map(kib).collect();
        let [database, all] = *sizes.as_slice() else {
            return Err(no_database(&self.subject).into());
        };
        let stream = |name: &str, kib: u64, helper, script| Stream {
            content: Content::Data,
            helper,
            script,
            args: Vec::new(),
            input: None,
            parts: vec![Part::new(name, kib << 10)],
        };
        Ok(vec![
            stream("database", database, self.helper(), COPY_DATABASE),
            stream("files", all.saturating_sub(database), helper, COPY_FILES),
        ])
    }

    fn begin(&mut self, mut expected: Vec<Stream>) -> Result<Vec<Stream>> {
        self.before = Some(Look::take(&self.api()?)?);
        let volume = Volume::new(&self.subject.stack.project())?;
        self.copy(&volume)?;
        if let Some(database) = expected.first_mut() {
            database.helper = self.helper().volume(volume.name(), "/copy:ro");
        }
        self.copy = Some(volume);
        Ok(expected)
    }

    fn finish(&mut self, _: &[Output]) -> Result<super::Facts> {
        self.copy = None;
        let api = self.api()?;
        let (before, after) = (self.before.take().context("it was not begun")?, Look::take(&api)?);
        let is_still_there = |uid: &String| after.dashboards.contains(uid);
        Ok(super::Facts::Grafana(Facts {
            version: api.json::<Health>("/api/health")?.version,
            dashboards: before.dashboards.into_iter().filter(is_still_there).collect(),
            users: (before.users.min(after.users), before.users.max(after.users)),
            paused_ms: u64::try_from(self.paused.as_millis()).unwrap_or(u64::MAX),
        }))
    }
}

impl Look {
    fn take(api: &Api) -> Result<Self> {
        let hits: Vec<Hit> = api.json("/api/search?type=dash-db&limit=5000")?;
        let mut dashboards = Vec::new();
        for Hit { uid } in hits {
            let path = format!("/api/dashboards/uid/{}", encode(&uid));
            if !api.json::<Dashboard>(&path)?.meta.provisioned {
                dashboards.push(uid);
            }
        }
        let Stats { users } = api.json("/api/admin/stats")?;
        Ok(Self { dashboards, users })
    }
}

fn no_database(subject: &Subject) -> Problem {
    let found = "grafana has no grafana.db in its data directory: it keeps its data elsewhere";
    Problem::failed("backup.grafana-database", found).mend(
        Advice::from("use its own SQLite database")
            .or(format!("leave it out: {}", Xtask::BackupOnly(subject.stack.on()))),
    )
}

/// A container that stands still. Goes on when dropped, also on Ctrl-C.
struct Pause<'a> {
    id: &'a str,
    since: Instant,
    is_over: bool,
}

impl<'a> Pause<'a> {
    fn begin(id: &'a str) -> Result<Self> {
        let pause = Self { id, since: Instant::now(), is_over: false };
        let mut tries = PAUSE_TRIES;
        while let Err(error) = docker().args(["pause", id]).run() {
            tries -= 1;
            if tries == 0 {
                return Err(error.context("pausing the container"));
            }
            check_interrupted()?;
            std::thread::sleep(BETWEEN_TRIES);
        }
        Ok(pause)
    }

    fn resume(&mut self) -> Result<()> {
        self.is_over = true;
        docker().args(["unpause", self.id]).clean_up().context("resuming the container")
    }

    fn end(mut self) -> Result<Duration> {
        self.resume()?;
        Ok(self.since.elapsed())
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.resume();
        }
    }
}
