//! How Prometheus names its snapshots.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::names::{checked, is_word};

checked! {
    /// `20261123T131500Z-58f2a1c0d3e4b596`: a snapshot's, and its folder's.
    pub struct SnapshotName: "the name of a snapshot", |text| {
        let parts = text.split_once("Z-");
        parts.is_some_and(|(_, rest)| is_word(rest)) && begun(text).is_some()
    }
}

/// `20261123T131500Z-58f2a1c0d3e4b596`, in seconds since 1970.
pub(super) fn begun(name: &str) -> Option<i64> {
    let (time, _) = name.split_once("Z-")?;
    let time = DateTime::strptime("%Y%m%dT%H%M%S", time).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|at| Timestamp::from(&at).as_second())
}
