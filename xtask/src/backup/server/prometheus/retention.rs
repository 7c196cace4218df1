//! What a Prometheus keeps, against what a set has: one that keeps less removes blocks as soon as it
//! starts on them.

use anyhow::Result;

use super::Blocks;
use crate::report::finding::Problem;
use crate::report::units::{Bytes, count};
use crate::stack::Stack;

const HOUR: i64 = 3600 * 1000;
/// By so much, in milliseconds, the data of one that keeps as long as before may be older: what was
/// in memory becomes a block that is younger than all.
const SLACK: i64 = 6 * HOUR;
/// By so much more than it may, one that is full has.
const FULL: f64 = 1.05;

impl Blocks {
    /// A problem with the variable to change where the options in `command` have the server remove
    /// blocks of the set.
    pub(super) fn refuse_shorter_retention(&self, stack: &Stack, command: &[String]) -> Result<()> {
        let option = |name: &str| {
            let start = format!("--storage.tsdb.retention.{name}=");
            command.iter().find_map(|word| word.strip_prefix(&start))
        };
        let refused = |blocks: usize, what: &str, variable: &str, today: &str| {
            let (all, file) = (count(self.blocks.len(), "block"), stack.env.path().display());
            let found = format!(
                "{variable} is {today} in {file}, by which prometheus would remove {blocks} of {all} of the set at once: they {what}"
            );
            Problem::failed("restore.too-small", found).mend(format!(
                "put a larger {variable} into it, at least until you have what you want of them"
            ))
        };
        if let Some(today) = option("time")
            && let Some(kept) = milliseconds(today)
        {
            let old = self.older_than(kept);
            if old > 0 {
                let problem = refused(old, "are older", "PROMETHEUS_RETENTION_TIME", today);
                return Err(problem.into());
            }
        }
        if let Some(today) = option("size")
            && let Ok(Bytes(most)) = today.parse()
        {
            let beyond = self.beyond(most);
            if beyond > 0 {
                let problem = refused(beyond, "take more", "PROMETHEUS_RETENTION_SIZE", today);
                return Err(problem.into());
            }
        }
        Ok(())
    }

    /// How many blocks a server removes that keeps so many milliseconds before its newest block.
    fn older_than(&self, kept: i64) -> usize {
        let newest = self.blocks.iter().map(|block| block.max_time).max().unwrap_or(0);
        let is_old = |at: i64| newest - at >= kept.saturating_add(SLACK);
        self.blocks.iter().filter(|block| is_old(block.max_time)).count()
    }

    /// How many of the oldest are too much for a server that keeps so many bytes; 0 for any number.
    fn beyond(&self, most: u64) -> usize {
        let (mut bytes, most) = (0.0, most as f64 * FULL);
        let fits = |bytes: f64| most == 0.0 || bytes <= most;
        let newest_first = self.blocks.iter().rev();
        newest_first
            .filter(|block| {
                bytes += block.bytes as f64;
                !fits(bytes)
            })
            .count()
    }
}

/// `15d`, `1w2d`, `36h`: as Prometheus writes how long.
fn milliseconds(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(letters);
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => HOUR,
            "d" => 24 * HOUR,
            "w" => 7 * 24 * HOUR,
            "y" => 365 * 24 * HOUR,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        rest = next;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A set with a block of two hours and 10 MB for each of so many days.
    fn of_days(days: i64) -> Blocks {
        let block = |day: i64| {
            let (min, max) = (day * 24 * HOUR, day * 24 * HOUR + 2 * HOUR);
            serde_json::from_value(serde_json::json!({
                "ulid": format!("{day:026}"), "min_time": min, "max_time": max,
                "series": 1, "samples": 1, "bytes": 10 << 20 }))
            .unwrap()
        };
        Blocks { blocks: (0..days).map(block).collect(), answers: BTreeMap::new() }
    }

    #[test]
    fn what_a_shorter_retention_removes_is_counted() {
        let set = of_days(10);
        assert_eq!(set.older_than(milliseconds("15d").unwrap()), 0);
        assert_eq!(set.older_than(milliseconds("9d").unwrap()), 0, "as long as it is");
        assert_eq!(set.older_than(milliseconds("2d12h").unwrap()), 7);
        assert_eq!(set.beyond(100 << 20), 0);
        assert_eq!(set.beyond(50 << 20), 5);
        assert_eq!(set.beyond(0), 0);
    }

    #[test]
    fn times_are_read_as_prometheus_writes_them() {
        assert_eq!(milliseconds("1w1d"), Some(8 * 24 * HOUR));
        assert_eq!(milliseconds("90m"), Some(3 * HOUR / 2));
        assert_eq!(["", "15", "d", "1x"].map(milliseconds), [Some(0), None, None, None]);
    }
}
