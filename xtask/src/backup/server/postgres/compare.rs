//! What a restored PostgreSQL holds, against what it held.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;

use super::cluster::Uncounted;
use super::psql::{Look, Psql};
use super::{Cluster, Database};
use crate::process::check_interrupted;
use crate::report::finding::Finding;
use crate::report::units::{Bytes, count};

/// How closely a restored server is questioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nobody else has changed it: everything is compared.
    Untouched,
    /// Its users are at work again: only what they cannot have changed.
    Live,
}

impl Cluster {
    pub(super) fn compare_with(&self, psql: &Psql<'_>, scope: Scope) -> Result<Vec<Finding>> {
        let state = psql.state()?;
        let mut findings = vec![if state.in_recovery {
            Finding::refuted("drill.recovery", "it is still in recovery")
        } else if position(&state.lsn) < position(&self.end_lsn) {
            Finding::refuted(
                "drill.recovery",
                format!("its log ends at {}, before the backup's end {}", state.lsn, self.end_lsn),
            )
        } else {
            Finding::proven(
                "drill.recovery",
                format!("recovered to {}, past {}", state.lsn, self.end_lsn),
            )
        }];
        if state.system_identifier != self.system_identifier {
            findings.push(Finding::refuted("drill.identity", "it is another cluster"));
        }
        let (before, mut tally) = (findings.len(), Tally::default());
        for database in &self.databases {
            if !state.databases.contains(&database.name) {
                let missing = format!("database {} is missing", database.name);
                findings.push(Finding::refuted("drill.databases", missing));
                continue;
            }
            // What one database does not answer takes no other's answers away.
            match database.compare(psql, scope, &mut tally) {
                Ok(found) => findings.extend(found),
                Err(error) => {
                    check_interrupted()?;
                    let found = Finding::no_answer("drill.tables", format!("{error:#}"));
                    findings.push(found.about(database.name.to_string()));
                }
            }
        }
        if findings.len() == before {
            let databases = count(self.databases.len(), "database");
            findings.push(Finding::proven("drill.databases", tally.words(&databases, scope)));
        }
        findings.extend(tally.uncounted());
        Ok(findings)
    }
}

/// What was looked at, in numbers.
#[derive(Debug, Default)]
struct Tally {
    /// Tables that are there.
    tables: usize,
    /// Of those, tables with as many rows as recorded.
    counted: usize,
    /// Of those, tables whose rows nobody has recorded, by the reason.
    uncounted: BTreeMap<Option<Uncounted>, Vec<String>>,
}

impl Tally {
    fn words(&self, databases: &str, scope: Scope) -> String {
        let tables = count(self.tables, "table");
        match scope {
            Scope::Live => format!("{databases} and {tables} are there"),
            Scope::Untouched => format!(
                "{databases} and {tables} are there; the rows of {} are as many as recorded",
                self.counted
            ),
        }
    }

    /// Of which tables nothing is known but that they are there and how large they are.
    fn uncounted(&self) -> Option<Finding> {
        const NAMED: usize = 3;
        let number: usize = self.uncounted.values().map(Vec::len).sum();
        let reasons = self.uncounted.iter().map(|(why, tables)| {
            let names: Vec<_> = tables.iter().take(NAMED).map(String::as_str).collect();
            let others = if tables.len() > NAMED { ", …" } else { "" };
            let why = why.map_or("without a reason on record", Uncounted::words);
            format!("{} {why} ({}{others})", tables.len(), names.join(", "))
        });
        let reasons: Vec<_> = reasons.collect();
        (number > 0).then(|| {
            let tables = count(number, "table");
            let found = format!(
                "the rows of {tables} were not counted when the set was made: {}",
                reasons.join("; ")
            );
            Finding::not_looked_at("drill.rows", found)
        })
    }
}

impl Database {
    fn compare(&self, psql: &Psql<'_>, scope: Scope, tally: &mut Tally) -> Result<Vec<Finding>> {
        let largest = self.tables.iter().filter(|table| table.rows.is_some());
        let largest = largest.map(|table| table.bytes).max().unwrap_or(0);
        // A restored table may be larger on disk than the smaller of two looks at the original.
        let count_below =
            if scope == Scope::Live { Bytes(0) } else { Bytes(2 * largest + (1 << 20)) };
        let looks = psql.look(std::slice::from_ref(&self.name), count_below)?;
        let there: Vec<_> = looks.into_iter().flat_map(|(_, tables)| tables).collect();
        Ok(self.differences(&there, scope, tally))
    }

    /// What is wrong where these tables are there.
    fn differences(&self, there: &[Look], scope: Scope, tally: &mut Tally) -> Vec<Finding> {
        let there: HashMap<_, _> = there.iter().map(|look| (&look.name, look)).collect();
        let wrong =
            |found: String| Finding::refuted("drill.tables", found).about(self.name.to_string());
        let mut findings = Vec::new();
        for table in &self.tables {
            let Some(look) = there.get(&table.name) else {
                findings.push(wrong(format!("table {} is missing", table.name)));
                continue;
            };
            tally.tables += 1;
            if scope == Scope::Live {
                continue;
            }
            match (table.rows, look.rows) {
                (Some((fewest, most)), Some(rows)) if !(fewest..=most).contains(&rows) => {
                    let found = format!("{} has {rows} rows, not {fewest} to {most}", table.name);
                    findings.push(wrong(found));
                }
                (Some(_), Some(_)) => tally.counted += 1,
                (Some(_), None) => {
                    let why = look.uncounted.unwrap_or(Uncounted::Failed).words();
                    let found = format!("{} could not be counted: a table {why}", table.name);
                    let finding = Finding::no_answer("drill.tables", found);
                    findings.push(finding.about(self.name.to_string()));
                }
                (None, _) if look.bytes < table.bytes / 2 => {
                    let (now, then) = (Bytes(look.bytes), Bytes(table.bytes));
                    findings.push(wrong(format!("{} has {now}, not {then}", table.name)));
                }
                (None, _) => {
                    let names = tally.uncounted.entry(table.uncounted).or_default();
                    names.push(table.name.to_string());
                }
            }
        }
        findings
    }
}

/// `0/3000100` as a number.
fn position(lsn: &str) -> u64 {
    let parts = lsn.split_once('/');
    parts
        .and_then(|(high, low)| {
            Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;
    use crate::backup::proof::Answers;
    use crate::postgres::name::Name;
    use crate::report::finding::Answer;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn table(text: &str, rows: Option<(u64, u64)>) -> Table {
        Table { name: name(text), bytes: 100, rows, uncounted: None }
    }

    fn look(text: &str, bytes: u64, rows: Option<u64>) -> Look {
        let name = name(text);
        Look { name, bytes, inserted: 0, deleted: 0, file: 1, uncounted: None, rows }
    }

    #[test]
    fn a_restored_table_has_as_many_rows_as_it_may() {
        let tables = vec![table("counted", Some((5, 9))), table("large", None)];
        let database = Database { name: name("app"), tables };
        let wrong = |rows, bytes, scope| {
            let there = [look("counted", 1, rows), look("large", bytes, None)];
            database.differences(&there, scope, &mut Tally::default()).len()
        };
        assert_eq!(wrong(Some(5), 50, Scope::Untouched), 0);
        assert_eq!(wrong(Some(4), 50, Scope::Untouched), 1);
        assert_eq!(wrong(Some(10), 49, Scope::Untouched), 2);
        assert_eq!(wrong(None, 50, Scope::Untouched), 1, "it cannot be counted");
        assert_eq!(wrong(Some(0), 0, Scope::Live), 0, "its users are at work again");
        let mut tally = Tally::default();
        let missing = database.differences(&[], Scope::Live, &mut tally);
        assert_eq!((missing.len(), tally.tables), (2, 0), "they are missing");
    }

    #[test]
    fn numbers_in_a_sentence_were_counted() {
        let mut tables = vec![table("a", Some((5, 5))), table("b", Some((1, 1)))];
        tables.extend(["c", "d"].map(|text| table(text, None)));
        tables[3].uncounted = Some(Uncounted::Locked);
        let database = Database { name: name("app"), tables };
        let there = [
            look("a", 1, Some(5)),
            look("b", 1, None),
            look("c", 100, Some(7)),
            look("d", 100, None),
        ];
        let mut tally = Tally::default();
        let findings = database.differences(&there, Scope::Untouched, &mut tally);
        let answers = Answers::of(&findings);
        assert!(answers.failed && answers.refuted == 0, "b is not damaged: {findings:?}");
        assert_eq!(
            tally.words("1 database", Scope::Untouched),
            "1 database and 4 tables are there; the rows of 1 are as many as recorded"
        );
        let uncounted = tally.uncounted().unwrap();
        assert_eq!(uncounted.answer, Some(Answer::NotLookedAt));
        assert_eq!(
            uncounted.found,
            "the rows of 2 tables were not counted when the set was made: 1 without a reason on record (c); 1 locked then (d)"
        );
    }

    #[test]
    fn positions_in_the_log_are_compared_as_numbers() {
        assert!(position("0/9000028") < position("0/10000028"));
        assert!(position("0/FFFFFFFF") < position("1/0"));
    }
}
