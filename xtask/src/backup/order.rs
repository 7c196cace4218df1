//! In which order sets were made, and which of their dates can be believed. A clock that was wrong
//! once must neither hold a backup up nor let an older set count as the latest.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::set::Set;
use crate::names::{ProjectName, SetId, StackName};
use crate::report::finding::Finding;
use crate::report::units::duration;

/// By so much the clocks of machines that share a folder may differ.
const SLACK: Duration = Duration::from_secs(60);

/// What speaks against the date of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It lies so far ahead of now.
    Ahead(Duration),
    /// It lies so far before that of the set that was made before it.
    Before(Duration, SetId),
    /// It lies so far behind that of a set that was made after it.
    Behind(Duration, SetId),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(by) => write!(f, "it is dated {} ahead of now", duration(*by)),
            Self::Before(by, earlier) => {
                write!(f, "it is dated {} before {earlier}, which it followed", duration(*by))
            }
            Self::Behind(by, later) => {
                write!(f, "it is dated {} behind {later}, which followed it", duration(*by))
            }
        }
    }
}

/// The sets among `sets`, which are in the order of their making, whose dates cannot be believed
/// at the time `now`. A stack's sets are compared with each other only: others may come from
/// machines with another clock.
pub fn doubts(sets: &[Set], now: Timestamp) -> BTreeMap<SetId, Doubt> {
    let mut stacks = BTreeMap::<(&ProjectName, &StackName), Vec<&Set>>::new();
    for set in sets.iter().filter(|set| set.origin.is_believed()) {
        stacks.entry((&set.manifest.project, &set.manifest.stack)).or_default().push(set);
    }
    stacks.into_values().flat_map(|sets| of_stack(&sets, now)).collect()
}

fn of_stack(sets: &[&Set], now: Timestamp) -> Vec<(SetId, Doubt)> {
    let times: Vec<_> = sets.iter().map(|set| set.manifest.started).collect();
    let believed = believed(&times, now);
    let apart = |one: Timestamp, other: Timestamp| one.duration_since(other).unsigned_abs();
    let doubt = |at: usize| {
        let time = times[at];
        let earlier = (0..at).rev().find(|one| believed[*one] && times[*one] > time);
        let later = (at + 1..times.len()).find(|one| believed[*one] && times[*one] < time);
        match (earlier, later) {
            _ if is_ahead(time, now) => Doubt::Ahead(apart(time, now)),
            (Some(one), _) => Doubt::Before(apart(times[one], time), sets[one].id.clone()),
            (None, Some(one)) => Doubt::Behind(apart(time, times[one]), sets[one].id.clone()),
            (None, None) => Doubt::Ahead(Duration::ZERO),
        }
    };
    let doubtful = (0..times.len()).filter(|at| !believed[*at]);
    doubtful.map(|at| (sets[at].id.clone(), doubt(at))).collect()
}

fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > jiff::SignedDuration::try_from(SLACK).unwrap_or_default()
}

/// Those of `times`, in the order in which they were noted, that together make the longest series
/// that neither goes back nor lies ahead of `now`.
fn believed(times: &[Timestamp], now: Timestamp) -> Vec<bool> {
    // Of each length, the series that ends earliest, by its last member.
    let mut ends = Vec::<usize>::new();
    let mut before = vec![None; times.len()];
    for (at, time) in times.iter().enumerate().filter(|(_, time)| !is_ahead(**time, now)) {
        let length = ends.partition_point(|end| times[*end] <= *time);
        before[at] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut believed = vec![false; times.len()];
    for at in std::iter::successors(ends.last().copied(), |at| before[*at]) {
        believed[at] = true;
    }
    believed
}

/// A finding for each of `sets` whose date cannot be believed.
pub fn findings(sets: &[Set], now: Timestamp) -> Vec<Finding> {
    let finding = |(id, doubt): (SetId, Doubt)| {
        Finding::warning("set.date", doubt.to_string())
            .about(&*id)
            .mend("see whether the clock is right (timedatectl); the order of the sets is known without it")
    };
    doubts(sets, now).into_iter().map(finding).collect()
}

/// How long ago `time` was, for people.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    let apart = duration(now.duration_since(time).unsigned_abs());
    if is_ahead(time, now) { format!("{apart} ahead") } else { format!("{apart} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::example;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Sets of one stack, made in this order.
    fn made(days: &[&str]) -> Vec<Set> {
        let set = |(at, day): (usize, &&str)| {
            let mut set = example::development();
            set.manifest.started = time(&format!("{day}T01:00:00Z"));
            set.manifest.sequence = Some(at as u64 + 1);
            set.id = set.manifest.id().unwrap();
            set
        };
        days.iter().enumerate().map(set).collect()
    }

    fn doubted(days: &[&str]) -> Vec<String> {
        let now = time("2026-11-28T12:00:00Z");
        findings(&made(days), now).iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_date_ahead_of_now_or_against_the_order_of_making_is_doubted() {
        assert!(doubted(&["2026-11-26", "2026-11-27", "2026-11-28"]).is_empty());
        assert_eq!(
            doubted(&["2026-11-26", "2027-11-28", "2026-11-28"]),
            ["20271128T010000Z-app-development: it is dated 364 d 13 h ahead of now"]
        );
        assert_eq!(
            doubted(&["2026-11-26", "2026-11-27", "1970-01-01", "2026-11-28"]),
            [
                "19700101T010000Z-app-development: it is dated 20784 d 0 h before 20261127T010000Z-app-development, which it followed"
            ]
        );
        // What was ahead then is not any more.
        assert_eq!(
            doubted(&["2026-10-01", "2026-11-20", "2026-10-02", "2026-10-03"]),
            [
                "20261120T010000Z-app-development: it is dated 49 d 0 h behind 20261002T010000Z-app-development, which followed it"
            ]
        );
    }

    #[test]
    fn an_age_is_never_that_of_a_date_ahead() {
        let now = time("2026-11-28T12:00:00Z");
        assert_eq!(ago(time("2026-11-28T10:00:00Z"), now), "2 h 0 min ago");
        assert_eq!(ago(time("2027-11-28T12:00:00Z"), now), "365 d 0 h ahead");
    }
}
