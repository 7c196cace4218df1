//! `cargo xtask schedule`.

use anyhow::{Context as _, Result};
use clap::{Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use crate::backup::config::Config;
use crate::check::Understands;
use crate::context::Context;
use crate::host::user;
use crate::host::{files, followed};
use crate::metrics::wanted;
use crate::plan::Plan;
use crate::process::Cmd;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::table::{self, Cell};
use crate::report::{BAD, DIM, GOOD, WARNING};
use crate::schedule::home::Home;
use crate::schedule::record::Record;
use crate::schedule::{self, cron, obeyed, run, systemd};
use crate::stack::job::{self, Job, Need};

/// Run backups, log rotation and metrics on a schedule
///
/// The jobs and their times are in infrastructure/stacks.toml. Jobs run as the user who ran
/// `setup`, from a copy of this program in the data directory.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Install the jobs, or bring them up to date; --dry-run prints the units
    Install {
        /// What starts them; systemd where it runs, else cron
        #[arg(long, value_enum, value_name = "SCHEDULER")]
        with: Option<Scheduler>,
    },
    /// Show when each job ran, how it ended, and when it runs next
    Status,
    /// Remove the jobs; what they have made stays
    Remove,
    /// Run a job now as the scheduler does, and record its result
    Run {
        /// The job
        job: String,
        /// Wait up to this many minutes first
        #[arg(long, default_value_t = 0, value_name = "MINUTES")]
        jitter: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scheduler {
    Systemd,
    Cron,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// When no stack is set up, there is no scheduler, or a job fails.
    pub fn run(self, cx: &Context, may_run: Understands) -> Result<()> {
        let home = Home::of(cx)?;
        let jobs = &cx.manifest.jobs;
        match self.action {
            Action::Install { with } => {
                jobs.iter().try_for_each(|job| refuse_job(job, may_run))?;
                install(cx, &home, with)
            }
            Action::Status => status(cx, &home),
            Action::Remove => remove(cx, &home),
            Action::Run { job, jitter } => {
                let job = job::find(jobs, &job)?;
                refuse_job(job, may_run)?;
                if cx.dry_run {
                    let mut plan = Plan::new();
                    plan.run(format!("run {}", job.name), run::command(&home, job)?);
                    return plan.print(&cx.report);
                }
                run::run(cx, &home, job, jitter, impossible(cx, job)?)
            }
        }
    }
}

/// Fails where `job` is a command that only a person should start.
fn refuse_job(job: &Job, may_run: Understands) -> Result<()> {
    may_run(&job.command).map_err(|why| {
        let found = format!("the job {} cannot be scheduled: {why}", job.name);
        Problem::prerequisite("schedule.jobs", found)
            .mend("change its command in infrastructure/stacks.toml")
            .into()
    })
}

fn install(cx: &Context, home: &Home, with: Option<Scheduler>) -> Result<()> {
    home.check()?;
    obeyed::refuse_others(home)?;
    let mut plan = install_program(home)?;
    let (jobs, environment) = (&cx.manifest.jobs, environment(home));
    let scheduler =
        with.unwrap_or(if systemd::runs() { Scheduler::Systemd } else { Scheduler::Cron });
    match scheduler {
        Scheduler::Systemd => {
            if !systemd::runs() && !cx.dry_run {
                return Err(Problem::prerequisite(
                    "schedule.no-systemd",
                    "systemd does not run this machine",
                )
                .mend(Xtask::ScheduleInstallCron)
                .into());
            }
            plan.append(cron::remove(home)?);
            plan.append(systemd::install(home, jobs, &environment)?);
        }
        Scheduler::Cron => {
            plan.append(cron::install(home, jobs, &environment)?);
            if systemd::runs() {
                plan.append(systemd::remove(home)?);
            }
        }
    }
    plan.append(wanted::schedule_plan(&home.data_dir, true)?);
    if plan.is_empty() {
        cx.report.done("the jobs are installed");
    }
    cx.execute(plan)?;
    if scheduler == Scheduler::Systemd && !user::is_root() && !cx.dry_run {
        cx.report.warning("timers of a user stop when he logs out, unless: loginctl enable-linger");
    }
    Ok(())
}

/// Copies this program to where nobody else can write.
fn install_program(home: &Home) -> Result<Plan> {
    let mut plan = Plan::new();
    let own = std::env::current_exe().context("looking for our own program")?;
    let text = followed::bytes(&own).with_context(|| format!("reading {}", own.display()))?;
    let program = home.program();
    if files::read(&program).ok().as_ref() == Some(&text) {
        return Ok(plan);
    }
    if let Some(folder) = program.parent().filter(|folder| !folder.is_dir()) {
        let what = format!("make {} ({}, 0700)", folder.display(), home.owner);
        plan.make_directory(what, folder.to_owned(), home.owner, 0o700);
    }
    plan.write(format!("install this program as {}", program.display()), program, text, 0o700);
    Ok(plan)
}

/// What jobs need of our environment to find the same engine and Compose.
fn environment(home: &Home) -> Vec<(String, String)> {
    let mut names = vec!["PATH", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"];
    if user::owner().uid == home.owner.uid {
        names.push("HOME");
    }
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    names.into_iter().filter_map(|name| Some((name.to_owned(), value(name)?))).collect()
}

fn remove(cx: &Context, home: &Home) -> Result<()> {
    let mut plan = systemd::remove(home)?;
    plan.append(cron::remove(home)?);
    // Without their metrics nobody is told that the jobs no longer run.
    for path in [home.program(), home.metrics().join("schedule.prom")] {
        if path.exists() {
            let rm = Cmd::new("rm").args(["-f", "--"]).arg(&path);
            plan.run(format!("remove {}", path.display()), rm);
        }
    }
    plan.append(wanted::schedule_plan(&home.data_dir, false)?);
    if plan.is_empty() {
        cx.report.done("no jobs are installed");
    }
    cx.execute(plan)
}

const IMPOSSIBLE: &str = "not possible here";

/// Where the work is done instead.
fn elsewhere() -> String {
    format!(
        "on a machine with the key and a copy of the sets: {} --identity FILE",
        Xtask::BackupDrill
    )
}

#[derive(Debug, Serialize)]
struct Line {
    job: String,
    command: String,
    when: String,
    #[serde(flatten)]
    record: Record,
    /// `good`, `failed`, `running`, `broken off`, `never` ran, or `not possible here`.
    result: &'static str,
    /// Why it is not possible here.
    why: Option<String>,
    /// Without jitter; none when the jobs are not installed.
    next: Option<Timestamp>,
}

fn status(cx: &Context, home: &Home) -> Result<()> {
    let scheduler = schedule::installed(home)?;
    let now = Zoned::now();
    let lines = cx.manifest.jobs.iter().map(|job| line(cx, home, job, scheduler, &now));
    let lines: Vec<_> = lines.collect::<Result<_>>()?;
    let rows: Vec<_> = lines.iter().map(row).collect();
    let head = ["JOB", "WHEN", "LAST RUN", "RESULT", "NEXT RUN", "LAST SUCCESS"];
    cx.report.line(table::lines(&head, &rows).join("\n"));
    for line in &lines {
        if let Some(why) = &line.why {
            cx.report.progress(format!("{}: {why}; {}", line.job, elsewhere()));
        }
        if let Some(error) = line.record.error.as_ref().filter(|_| line.result == "failed") {
            cx.report.warning(format!("{}: {error}", line.job));
        }
    }
    match scheduler {
        Some(scheduler) => cx.report.progress(format!("installed with {scheduler}")),
        None => cx.report.progress(format!("not installed: {}", Xtask::ScheduleInstall)),
    }
    cx.report.document(
        "xtask.schedule/v1",
        &serde_json::json!({ "scheduler": scheduler, "jobs": lines }),
    )
}

fn line(
    cx: &Context,
    home: &Home,
    job: &Job,
    scheduler: Option<&str>,
    now: &Zoned,
) -> Result<Line> {
    let record = Record::load(home, &job.name)?;
    let impossible = impossible(cx, job)?;
    let result = match (record.started, record.is_good()) {
        _ if impossible.is_some() => IMPOSSIBLE,
        (None, _) => "never",
        (Some(_), None) if run::is_running(cx, home, job) => "running",
        (Some(_), None) => "broken off",
        (Some(_), Some(true)) => "good",
        (Some(_), Some(false)) => "failed",
    };
    let next = match scheduler {
        Some(_) => Some(job.next(now)?.timestamp()),
        None => None,
    };
    let command = Xtask::Scheduled(job.command.clone()).to_string();
    let (job, when) = (job.name.clone(), job.to_string());
    Ok(Line { job, command, when, record, result, why: impossible, next })
}

/// Why `job` cannot be run on this machine.
fn impossible(cx: &Context, job: &Job) -> Result<Option<String>> {
    Ok(match job.needs {
        Some(Need::PrivateKey) if Config::load(&cx.root)?.lacks_key() => {
            Some("backups are encrypted, and backup.toml names no private key".to_owned())
        }
        _ => None,
    })
}

fn row(line: &Line) -> Vec<Cell> {
    let time = |time: Option<Timestamp>| {
        let local = time.map(|time| time.to_zoned(TimeZone::system()));
        local.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
    };
    let style = match line.result {
        "good" => GOOD,
        "failed" | "broken off" => BAD,
        "running" => WARNING,
        _ => DIM,
    };
    vec![
        line.job.as_str().into(),
        line.when.as_str().into(),
        time(line.record.started).into(),
        Cell::styled(line.result, style),
        time(line.next).into(),
        time(line.record.succeeded).into(),
    ]
}
