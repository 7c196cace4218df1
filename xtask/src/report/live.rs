//! One line on the terminal that is written over while something is waited for.

use std::io::{IsTerminal, Write};

use super::printable::one_line;
use crate::report::Report;
use crate::secret::mask;

/// A line that changes; without a terminal nothing is shown. Erased when dropped.
#[derive(Debug)]
pub struct Live {
    shown: bool,
    last: String,
}

/// Columns used at most, so that the line never wraps and can be erased.
const WIDTH: usize = 78;

impl Live {
    /// A line that is empty so far.
    pub fn new(report: &Report) -> Self {
        let shown = std::io::stderr().is_terminal()
            && report.verbosity == super::Verbosity::Normal
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self { shown, last: String::new() }
    }

    /// Whether there is a terminal to show it on.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Replaces the line.
    pub fn show(&mut self, text: &str) {
        let text: String = one_line(&mask(text)).chars().take(WIDTH).collect();
        if self.shown && text != self.last {
            let _ = write!(std::io::stderr(), "\r\x1b[2K{text}");
            self.last = text;
        }
    }

    /// Erases the line, so that another can be printed.
    pub fn clear(&mut self) {
        if self.shown && !self.last.is_empty() {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
            self.last.clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}
