//! How jobs ended: a file for each, and metrics of all.

use std::path::PathBuf;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::home::Home;
use crate::host::files::{make_folder, read_optional, write_atomically};
use crate::host::lock::{Holder, IfHeld, Lock};
use crate::metrics::Page;
use crate::report::Report;
use crate::stack::job::Job;

/// The last run of a job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended; none while it runs, or when it was killed.
    pub ended: Option<Timestamp>,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// Why it cannot be run on this machine, if so; it is then neither good nor failed.
    #[serde(default)]
    pub impossible: Option<String>,
    /// When a run last succeeded.
    pub succeeded: Option<Timestamp>,
}

impl Record {
    /// Of a job that may never have run.
    ///
    /// # Errors
    /// When it is there but cannot be read; a damaged one counts as none.
    pub fn load(home: &Home, job: &str) -> Result<Self> {
        let text = read_optional(&path(home, job))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Keeps it, and rewrites the metrics of all jobs.
    ///
    /// # Errors
    /// When the data directory cannot be written.
    pub fn keep(&self, home: &Home, job: &str, jobs: &[Job], report: &Report) -> Result<()> {
        let folder = home.records();
        make_folder(&folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
        let text = serde_json::to_vec_pretty(self).context("writing the record of a job")?;
        write_atomically(&path(home, job), &text, 0o600)?;
        write_metrics(home, jobs, report)
    }

    /// Whether the last run that ended did well; none before the first, and where it is impossible.
    pub fn is_good(&self) -> Option<bool> {
        self.ended.filter(|_| self.impossible.is_none()).map(|_| self.error.is_none())
    }
}

fn path(home: &Home, job: &str) -> PathBuf {
    home.records().join(format!("{job}.json"))
}

/// One at a time: jobs begin in the same minute, and two would write over each other.
fn write_metrics(home: &Home, jobs: &[Job], report: &Report) -> Result<()> {
    let lock = home.records().join("metrics.lock");
    let waiting = |holder: &Holder| report.progress(format!("waiting for {holder}"));
    let _lock = Lock::take(&lock, "schedule run", IfHeld::Wait, waiting)?;
    let mut page = Page::default();
    for job in jobs {
        describe(&mut page, job, &Record::load(home, &job.name)?);
    }
    page.write(&home.metrics(), "schedule")
}

/// Of a job that is impossible here nothing is expected, so nothing is said.
fn describe(page: &mut Page, job: &Job, record: &Record) {
    if record.impossible.is_some() {
        return;
    }
    let seconds = |time: Option<Timestamp>| time.map(Timestamp::as_second);
    for (name, help, value) in [
        ("interval_seconds", "Time between two runs of a scheduled job.", Some(job.interval())),
        (
            "last_start_timestamp_seconds",
            "When a scheduled job last began.",
            seconds(record.started),
        ),
        ("last_end_timestamp_seconds", "When a scheduled job last ended.", seconds(record.ended)),
        (
            "last_success_timestamp_seconds",
            "When a scheduled job last succeeded.",
            seconds(record.succeeded),
        ),
        (
            "last_run_failed",
            "Whether the last run of a scheduled job failed.",
            record.is_good().map(|is_good| i64::from(!is_good)),
        ),
    ] {
        if let Some(value) = value {
            page.gauge(&format!("job_{name}"), help, &[("job_name", &job.name)], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_say_what_is_known_and_nothing_else() {
        let job: Job =
            serde_json::from_str(r#"{"name":"a","command":["b"],"every":"hour"}"#).unwrap();
        let time: Timestamp = "2026-11-23T13:05:48Z".parse().unwrap();
        let text = |record: &Record| {
            let mut page = Page::default();
            describe(&mut page, &job, record);
            page.text()
        };
        let never = text(&Record::default());
        assert!(
            never.contains("case_interview_job_interval_seconds{job_name=\"a\"} 3600"),
            "{never}"
        );
        assert!(!never.contains("last_start") && !never.contains("last_run_failed"), "{never}");
        let failed = Record {
            started: Some(time),
            ended: Some(time),
            error: Some("e".into()),
            ..Record::default()
        };
        let impossible = Record { impossible: Some("no key".into()), ..failed.clone() };
        assert_eq!(text(&impossible), "", "nobody is paged about it");
        let failed = text(&failed);
        assert!(
            failed.contains("case_interview_job_last_run_failed{job_name=\"a\"} 1"),
            "{failed}"
        );
        assert!(
            failed.contains(
                "case_interview_job_last_end_timestamp_seconds{job_name=\"a\"} 1795439148"
            ),
            "{failed}"
        );
    }
}
