//! How far a long transfer is: on a terminal a line that changes, elsewhere a line now and then.

use std::time::{Duration, Instant};

use crate::report::Report;
use crate::report::live::Live;
use crate::report::units::{Bytes, duration};

/// Between two changes of the line.
const ROUND: Duration = Duration::from_millis(100);
/// Between two lines where there is no terminal.
const PATIENCE: Duration = Duration::from_secs(30);

/// A transfer in progress.
#[derive(Debug)]
pub struct Meter<'a> {
    report: &'a Report,
    live: Live,
    what: String,
    /// Bytes that will come, roughly; 0 where unknown.
    expected: u64,
    started: Instant,
    shown: Instant,
    said: Instant,
}

impl<'a> Meter<'a> {
    /// A transfer that begins now.
    pub fn new(report: &'a Report, what: impl Into<String>, expected: u64) -> Self {
        let now = Instant::now();
        let what = what.into();
        let mut live = Live::new(report);
        live.show(&what);
        Self { report, live, what, expected, started: now, shown: now, said: now }
    }

    /// So many bytes have passed so far.
    pub fn at(&mut self, bytes: u64) {
        if self.shown.elapsed() < ROUND {
            return;
        }
        self.shown = Instant::now();
        let text = self.text(bytes);
        self.live.show(&text);
        if self.said.elapsed() > PATIENCE {
            self.said = Instant::now();
            if !self.live.is_shown() {
                self.report.progress(text);
            }
        }
    }

    fn text(&self, bytes: u64) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = bytes as f64 / seconds;
        let left = self.expected.saturating_sub(bytes) as f64 / rate.max(1.0);
        let ahead = if self.expected > bytes {
            format!(
                " of about {}, {} left",
                Bytes(self.expected),
                duration(Duration::from_secs_f64(left.min(1e9)))
            )
        } else {
            String::new()
        };
        format!("{}: {}{ahead}, {}/s", self.what, Bytes(bytes), Bytes(rate as u64))
    }
}
