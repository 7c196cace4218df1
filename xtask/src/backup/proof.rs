//! What was proven of a set, what was refuted, and what nobody has looked at.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::finding::{Answer, Finding, Severity};
use crate::secret::mask;

/// How many questions about a set had which answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Looked at and right.
    pub proven: usize,
    /// Looked at and wrong.
    pub refuted: usize,
    /// Why the others have no answer.
    pub not_looked_at: Vec<String>,
    /// Whether one of those was asked, and no answer came.
    pub failed: bool,
}

impl Answers {
    /// Those that `findings` have.
    pub fn of(findings: &[Finding]) -> Self {
        let mut answers = Self::default();
        for finding in findings {
            match finding.answer {
                Some(Answer::Proven) => answers.proven += 1,
                Some(Answer::Refuted) => answers.refuted += 1,
                Some(Answer::NotLookedAt) => {
                    answers.failed |= finding.severity == Severity::Error;
                    answers.not_looked_at.push(mask(&finding.to_string()));
                }
                None => {}
            }
        }
        answers
    }

    /// What they say together: nothing is proven as a whole of which a part was not looked at, nor
    /// where nothing was asked.
    pub fn verdict(&self) -> Answer {
        match (self.refuted, self.not_looked_at.len(), self.proven) {
            (1.., _, _) => Answer::Refuted,
            (0, 0, 1..) => Answer::Proven,
            _ => Answer::NotLookedAt,
        }
    }

    /// Whether nothing was refuted, and everything answered that was asked.
    pub fn is_good(&self) -> bool {
        self.refuted == 0 && !self.failed && self.proven > 0
    }
}

/// `12 proven, 1 refuted, 2 not looked at`.
impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} proven", self.proven)?;
        if self.refuted > 0 {
            write!(f, ", {} refuted", self.refuted)?;
        }
        match self.not_looked_at.len() {
            0 => Ok(()),
            number => write!(f, ", {number} not looked at"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_never_counts_as_proven() {
        let proven = Finding::proven("a.b", "");
        let unknown = Finding::not_looked_at("a.c", "no tool for it");
        let failed = Finding::no_answer("a.d", "it did not answer");
        let refuted = Finding::refuted("a.e", "");
        let other = Finding::warning("a.f", "");
        let judge = |findings: &[&Finding]| {
            let findings: Vec<_> = findings.iter().map(|one| (*one).clone()).collect();
            let answers = Answers::of(&findings);
            (answers.verdict(), answers.is_good(), answers.to_string())
        };
        let text = str::to_owned;
        assert_eq!(judge(&[]), (Answer::NotLookedAt, false, text("0 proven")));
        assert_eq!(judge(&[&proven, &other]), (Answer::Proven, true, text("1 proven")));
        let partly = text("1 proven, 1 not looked at");
        assert_eq!(judge(&[&proven, &unknown]), (Answer::NotLookedAt, true, partly.clone()));
        assert_eq!(judge(&[&proven, &failed]), (Answer::NotLookedAt, false, partly));
        let all = text("1 proven, 1 refuted, 2 not looked at");
        assert_eq!(judge(&[&proven, &failed, &unknown, &refuted]), (Answer::Refuted, false, all));
    }
}
