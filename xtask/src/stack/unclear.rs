//! Lines of `.env` that no two Composes surely read alike.

use super::Stack;
use super::dotenv::{self, Assignment};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Finding;

impl Stack {
    /// An error for each such line of the file; none while there is no file. Of several lines with
    /// one name the last counts, as Composes read them.
    pub fn unclear(&self) -> Vec<Finding> {
        let assignments = self.written().iter();
        assignments.filter_map(|assignment| self.judge(assignment)).collect()
    }

    /// As [`Stack::unclear`], of the lines that may decide what `variables` are.
    pub fn unclear_for(&self, variables: &[&str]) -> Vec<Finding> {
        let assignments = self.written().iter();
        let may_decide = |one: &&Assignment| variables.iter().any(|name| self.decides(one, name));
        let unclear = assignments.clone().filter(may_decide).filter_map(|one| self.judge(one));
        let garbled = assignments.filter(|one| {
            // What is not UTF-8 was replaced.
            let value = one.value.as_deref().unwrap_or_default();
            variables.contains(&one.key.as_str()) && value.contains(char::REPLACEMENT_CHARACTER)
        });
        unclear.chain(garbled.map(|one| self.not_text(one.line))).collect()
    }

    /// The error where the file is not text.
    pub fn broken(&self) -> Option<Finding> {
        Some(self.not_text(self.env.broken_line()?))
    }

    /// Whether a rewrite of the unclear `assignment` keeps what a person meant. A secret with a
    /// dollar is written as it is meant, and Composes may read another one.
    pub fn is_rewritable(&self, assignment: &Assignment) -> bool {
        let is_secret = || self.secrets().contains(&assignment.key.as_str());
        let why = assignment.value.as_ref().err();
        !assignment.key.is_empty()
            && why.is_some_and(|why| !dotenv::is_about_dollars(why) || !is_secret())
    }

    /// The assignments of the file, not those of the example.
    fn written(&self) -> &[Assignment] {
        self.env.text().map_or(&[], |_| self.env.assignments())
    }

    /// Whether `assignment`, which is unclear, may give `variable` its value, or take it away.
    fn decides(&self, assignment: &Assignment, variable: &str) -> bool {
        let Err(why) = assignment.value else { return false };
        let from_it = self.env.text().unwrap_or_default().lines().skip(assignment.line - 1);
        let mut in_doubt = from_it.take(dotenv::lines_in_doubt(why));
        assignment.key == variable || in_doubt.any(|line| line.contains(variable))
    }

    fn judge(&self, assignment: &Assignment) -> Option<Finding> {
        let why = *assignment.value.as_ref().err()?;
        let name = assignment.key.as_str();
        let counts = || self.env.assignment(name).is_some_and(|last| last.line == assignment.line);
        if dotenv::is_settled_later(why) && !counts() {
            return None;
        }
        let finding = if name.is_empty() {
            Finding::error("env.ambiguous", why)
                .mend("remove the line, make it a comment with #, or write NAME=value")
        } else {
            let written = format!("write {name}='value', without any of ' \\ ${{ in the value");
            let kept = || Xtask::EnvCheckFix(self.on());
            let advice = match self.is_rewritable(assignment) {
                true => {
                    Advice::from(written).or(format!("keep what your Compose reads: {}", kept()))
                }
                false => Advice::from(written),
            };
            Finding::error("env.ambiguous", format!("{name}: {why}")).mend(advice)
        };
        Some(finding.at(self.env_file(), Some(assignment.line)))
    }

    fn not_text(&self, line: usize) -> Finding {
        Finding::error("env.not-text", "this line is not text (UTF-8)")
            .at(self.env_file(), Some(line))
            .mend("remove the line, or save the file as UTF-8")
    }
}
