//! Carries out a job and records how it ended.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::home::Home;
use super::record::Record;
use crate::context::Context;
use crate::host::lock::{self, IfHeld, Lock};
use crate::process::{Cmd, check_interrupted, find};
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::stack::job::Job;

/// Runs `job` unless it runs already, up to `jitter` minutes from now. It waits while another
/// command is at work on the project. Where `impossible` says why it cannot be run on this machine,
/// that is put on record instead.
///
/// # Errors
/// `job.failed` when its command fails; when the run cannot be recorded.
pub fn run(
    cx: &Context,
    home: &Home,
    job: &Job,
    jitter: u32,
    impossible: Option<String>,
) -> Result<()> {
    wait(jitter)?;
    let _lock = match Lock::take(
        &lock_path(cx, home, job),
        &format!("schedule run {}", job.name),
        IfHeld::Fail,
        |holder| cx.report.progress(format!("waiting for {holder}")),
    ) {
        Ok(lock) => lock,
        Err(error) if error.is::<lock::Held>() => {
            cx.report.warning(format!("{} is left out: its last run has not ended yet", job.name));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let jobs = &cx.manifest.jobs;
    let mut record = Record::load(home, &job.name)?;
    (record.started, record.ended) = (Some(Timestamp::now()), None);
    record.impossible = impossible;
    if let Some(why) = &record.impossible {
        (record.ended, record.error) = (record.started, None);
        cx.report.progress(format!("{} is not possible here: {why}", job.name));
        return record.keep(home, &job.name, jobs, &cx.report);
    }
    record.keep(home, &job.name, jobs, &cx.report)?;
    let outcome = command(home, job)?.each_line(|line| cx.report.line(line));
    let now = Timestamp::now();
    record.ended = Some(now);
    record.error = outcome.as_ref().err().map(|error| format!("{error:#}"));
    if outcome.is_ok() {
        record.succeeded = Some(now);
    }
    record.keep(home, &job.name, jobs, &cx.report)?;
    outcome.map_err(|error| {
        tell_journal(home, job, &error);
        let found = format!("the job {} failed: {error:#}", job.name);
        Problem::failed("job.failed", found).mend(Xtask::Scheduled(job.command.clone())).into()
    })
}

/// Whether `job` runs now.
pub fn is_running(cx: &Context, home: &Home, job: &Job) -> bool {
    lock::held_by(&lock_path(cx, home, job)).is_some()
}

fn lock_path(cx: &Context, home: &Home, job: &Job) -> PathBuf {
    lock::path(&cx.state_folder(), &format!("{}-{}", home.name, job.name))
}

/// The command line that does a job's work.
///
/// # Errors
/// When our own program cannot be found.
pub fn command(home: &Home, job: &Job) -> Result<Cmd> {
    let own = std::env::current_exe().context("looking for our own program")?;
    Ok(Cmd::new(own)
        .args(&job.command)
        .args(&home.options)
        .args(["--wait", "--yes"])
        .dir(&home.repository))
}

/// Waits some of `jitter` minutes.
fn wait(jitter: u32) -> Result<()> {
    let seconds = u64::from(jitter) * 60;
    if seconds == 0 {
        return Ok(());
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("reading the system's random generator: {error}"))?;
    let end = Instant::now() + Duration::from_secs(u64::from_le_bytes(random) % seconds);
    while Instant::now() < end {
        check_interrupted()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Under systemd our output is the journal's already; cron sends it by mail at best.
fn tell_journal(home: &Home, job: &Job, error: &anyhow::Error) {
    if std::env::var_os("INVOCATION_ID").is_none() && find("logger").is_ok() {
        let tag = format!("{}-{}", home.name, job.name);
        let _ = Cmd::new("logger")
            .args(["--tag", &tag, "--priority", "user.err", "--"])
            .arg(format!("{error:#}"))
            .run();
    }
}
