//! Grafana: its SQLite database, copied with its journal while the container stands still for a
//! moment, which is what a power cut would leave and SQLite opens; and its other files.

mod questions;

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::api::Api;
use super::{Alone, Begun, Client, Part, Server, Stream, Subject};
use crate::backup::undo_log;
use crate::docker::container;
use crate::docker::docker;
use crate::docker::mount::Access;
use crate::docker::volume::Volume;
use crate::names::ContainerId;
use crate::plan::Plan;
use crate::process::{Dialogue, check_interrupted};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Problem};
use crate::stack::Stack;
use crate::stack::manifest::Service;
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

/// What was in its database.
#[derive(Debug, Serialize, Deserialize)]
pub struct Database {
    /// Dashboards that were made by hand: there before and after. Others come from files.
    dashboards: Vec<String>,
    /// Accounts, the fewest and the most that a restored server can have.
    users: (u64, u64),
    /// For how long it stood still, in milliseconds.
    paused_ms: u64,
}

/// What is undone where a backup was killed.
#[derive(Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
enum Step {
    Paused { container: ContainerId },
}

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

impl Server for Database {
    fn streams(subject: &Subject<'_>) -> Result<Vec<Stream>> {
        let reader = subject.reader(PLACE)?;
        let said = reader.cmd(SIZES, &[]).read()?;
        let kib = |line: &str| line.split_whitespace().next()?.parse::<u64>().ok();
        let sizes: Vec<_> = said.lines().filter_map(kib).collect();
        let [database, all] = *sizes.as_slice() else {
            return Err(no_database(subject).into());
        };
        let files = vec![Part::new("files", all.saturating_sub(database) << 10)];
        let database = vec![Part::new("database", database << 10)];
        let paused = "from a copy that is made while it is paused for a moment";
        Ok(vec![
            Stream::data(subject.helper(), COPY_DATABASE, paused, database),
            Stream::data(reader, COPY_FILES, "", files),
        ])
    }

    fn begin(subject: Subject<'_>, mut expected: Vec<Stream>) -> Result<Begun<'_>> {
        let before = Look::take(&subject.api()?)?;
        let volume = Volume::new(&subject.stack.project())?;
        let paused = copy_database(&subject, &volume)?;
        if let Some(database) = expected.first_mut() {
            database.helper = subject.helper().volume(volume.name(), "/copy", Access::Read)?;
        }
        let finish = move |_: &[_]| {
            drop(volume);
            let api = subject.api()?;
            let after = Look::take(&api)?;
            let is_still_there = |uid: &String| after.dashboards.contains(uid);
            let database = Self {
                dashboards: before.dashboards.into_iter().filter(is_still_there).collect(),
                users: (before.users.min(after.users), before.users.max(after.users)),
                paused_ms: u64::try_from(paused.as_millis()).unwrap_or(u64::MAX),
            };
            subject.record(api.json::<Health>("/api/health")?.version, &database)
        };
        Ok((expected, Box::new(finish)))
    }

    fn take_back(stack: &Stack, step: &undo_log::Step) -> Result<Option<Plan>> {
        let Ok(Step::Paused { container: id }) = Step::deserialize(step) else { return Ok(None) };
        let mut plan = Plan::new();
        // Another project's may stand still for a reason.
        let ours = container::of_project(&stack.project())?;
        if ours.iter().any(|its| its.id.starts_with(&*id) && its.state.status == "paused") {
            let resume = docker().args(["unpause", &id]);
            plan.run("resume what an interrupted backup has left standing still", resume);
        }
        Ok(Some(plan))
    }

    fn alone(&self, _: &Stack, _: &Service) -> Result<Alone> {
        Ok(questions::alone())
    }

    fn is_ready(&self, client: Client<'_>) -> bool {
        Api::Inside(client).get("/api/org").is_ok()
    }

    fn adapt(&self, stack: &Stack, service: &Service, client: Client<'_>) -> Result<()> {
        client.set_password(stack, service, &["--env", "GF_PATHS_DATA=/data"])
    }

    fn compare(&self, client: Client<'_>) -> Result<Vec<Finding>> {
        Ok(self.differences(&Look::take(&Api::Inside(client))?))
    }

    fn look_through(&self, client: Client<'_>) -> Result<Vec<Finding>> {
        Ok(vec![questions::check_pages(client)?])
    }

    fn prove(&self, stack: &Stack, service: &Service, _: &str) -> Result<Vec<Finding>> {
        Ok(self.differences(&Look::take(&Api::of(stack, service)?)?))
    }
}

/// Copies the database into `volume` while nobody writes to it. How long it stood still.
fn copy_database(subject: &Subject<'_>, volume: &Volume) -> Result<Duration> {
    let Subject { stack, container, .. } = subject;
    let helper = subject.reader(PLACE)?.volume(volume.name(), "/copy", Access::Write)?;
    let mut holder = helper.cmd(HOLD, &[]).time_limit(PATIENCE).talk()?;
    let mut said = [0; 6];
    let mut expect = |word: &[u8; 6], holder: &mut Dialogue| -> Result<()> {
        if let Err(error) = holder.read_exact(&mut said) {
            return Err(holder.failure().unwrap_or(error.into()));
        }
        ensure!(said == *word, "the helper does not copy the database");
        Ok(())
    };
    expect(b"ready\n", &mut holder)?;
    undo_log::record(stack, &Step::Paused { container: container.id.as_str().try_into()? })?;
    let pause = Pause::begin(&container.id)?;
    let copied = holder.say(b"\n").and_then(|()| expect(b"copied", &mut holder));
    let paused = pause.end()?;
    undo_log::forget(stack)?;
    copied.context("copying the database")?;
    // It has ended then, and holds the volume no more.
    holder.failure().map_or(Ok(paused), Err)
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
