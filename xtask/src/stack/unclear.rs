//! Lines of `.env` that no two Composes surely read alike.

use super::Stack;
use super::dotenv::Assignment;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Finding;

impl Stack {
    /// An error for each such line of the file; none while there is no file.
    pub fn unclear(&self) -> Vec<Finding> {
        let assignments = self.env.text().map(|_| self.env.assignments()).unwrap_or_default();
        assignments.iter().filter_map(|assignment| self.judge(assignment)).collect()
    }

    /// The error where the name of the compose project is on such a line.
    pub fn unclear_project(&self) -> Option<Finding> {
        self.env.text()?;
        self.judge(self.env.assignment("COMPOSE_PROJECT_NAME")?)
    }

    fn judge(&self, assignment: &Assignment) -> Option<Finding> {
        let why = assignment.value.as_ref().err()?;
        let finding = match assignment.key.as_str() {
            "" => Finding::error("env.ambiguous", *why)
                .mend("remove the line, make it a comment with #, or write NAME=value"),
            name => Finding::error("env.ambiguous", format!("{name}: {why}")).mend(
                Advice::from(format!("write {name}='value', without any of ' \\ ${{ in the value"))
                    .or(format!("keep what your Compose reads: {}", Xtask::EnvCheckFix(self.on()))),
            ),
        };
        Some(finding.at(self.env_file(), Some(assignment.line)))
    }
}
