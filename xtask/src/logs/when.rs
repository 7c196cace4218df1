//! A time as people write it on a command line.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::docker::log::format_stamp;
use crate::report::units::seconds;

const FORMS: &str = "write 90s, 10m, 2h, 3d or 1w ago, a day such as 2026-11-23 or yesterday, or a time such as 07:40, 2026-11-23T13:05 (UTC) or 2026-11-23T13:05:48+01:00";

/// A stamp as entries have it, for comparing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct When(pub String);

impl std::str::FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let now = Timestamp::now();
        let time = ago(text, now).or_else(|| absolute(text)).or_else(|| recent(text, now));
        let time = time.ok_or_else(|| format!("`{text}` is not a time; {FORMS}"))?;
        Ok(Self(format_stamp(time)))
    }
}

/// `1d12h` before now.
fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let some = seconds(text)?;
    now.checked_sub(SignedDuration::from_secs(some)).ok()
}

/// `today`, `yesterday`, or a time of the day that was last, all in UTC.
fn recent(text: &str, now: Timestamp) -> Option<Timestamp> {
    let now = now.to_zoned(TimeZone::UTC).datetime();
    let yesterday = |time: DateTime| time.checked_sub(jiff::Span::new().days(1)).ok();
    let today = now.date().at(0, 0, 0, 0);
    let time = match text {
        "today" => today,
        "yesterday" => yesterday(today)?,
        _ => {
            let time = text.contains(':').then(|| text.parse::<Time>().ok())??;
            let time = now.date().to_datetime(time);
            if time > now { yesterday(time)? } else { time }
        }
    };
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn absolute(text: &str) -> Option<Timestamp> {
    let in_utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let with_zone = text.parse::<Timestamp>().ok();
    let without = || in_utc(text.parse::<DateTime>().ok()?);
    let day = || in_utc(text.parse::<Date>().ok()?.at(0, 0, 0, 0));
    with_zone.or_else(without).or_else(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse().map(|When(stamp)| stamp)
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(read("2026-11-23").unwrap(), "2026-11-23T00:00:00.000000000Z");
        assert_eq!(read("2026-11-23T13:05").unwrap(), "2026-11-23T13:05:00.000000000Z");
        assert_eq!(read("2026-11-23T13:05:48.5+01:00").unwrap(), "2026-11-23T12:05:48.500000000Z");
        let age = |text: &str| {
            let stamp: Timestamp = read(text).unwrap().parse().unwrap();
            Timestamp::now().duration_since(stamp).as_secs()
        };
        assert!((90..95).contains(&age("90s")));
        assert!((129_600..129_605).contains(&age("1d12h")));
        assert!((300..305).contains(&age("5min")));
        assert!((7200..7205).contains(&age("2hours")));
        let now: Timestamp = "2026-11-23T07:50:00Z".parse().unwrap();
        for (text, expected) in [
            ("07:40", "2026-11-23T07:40:00Z"),
            ("23:00", "2026-11-22T23:00:00Z"),
            ("today", "2026-11-23T00:00:00Z"),
            ("yesterday", "2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(recent(text, now).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_what_would_be() {
        for text in [
            "",
            "soon",
            "10",
            "h",
            "10x",
            "2026-13-01",
            "99999999999999999999s",
            "9999999999999w",
            "1µ",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains("is not a time; write 90s"), "{text}: {error}");
        }
    }
}
