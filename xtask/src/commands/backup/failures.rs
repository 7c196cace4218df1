//! What goes wrong with one stack or set keeps no other from its turn.

use anyhow::{Error, Result};

use crate::context::Context;
use crate::process::check_interrupted;
use crate::report::finding::Finding;

/// Errors, each with what it is about.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(String, Error)>);

impl Failures {
    /// What there is of `result`; its error is kept until [`Self::end`].
    ///
    /// # Errors
    /// When the user interrupts.
    pub(super) fn note<T>(&mut self, about: &str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                check_interrupted()?;
                self.0.push((about.to_owned(), error));
                Ok(None)
            }
        }
    }

    pub(super) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Reports all but the first, which is the result.
    ///
    /// # Errors
    /// The first that was noted.
    pub(super) fn end(self, cx: &Context) -> Result<()> {
        let mut all = self.0.into_iter();
        let Some((_, first)) = all.next() else { return Ok(()) };
        for (about, error) in all {
            cx.report.finding(&Finding::of_error("backup.failed", &error).about(about));
        }
        Err(first)
    }
}
