//! A time as people write it on a command line.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::docker::log::format_stamp;

const FORMS: &str = "write 90s, 10m, 2h, 3d or 1w ago, a day such as 2026-11-23, or a time such as 2026-11-23T13:05 (UTC) or 2026-11-23T13:05:48+01:00";

/// A stamp as entries have it, for comparing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct When(pub String);

impl std::str::FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = ago(text).or_else(|| absolute(text));
        let time = time.ok_or_else(|| format!("`{text}` is not a time; {FORMS}"))?;
        Ok(Self(format_stamp(time)))
    }
}

/// `1d12h` before now.
fn ago(text: &str) -> Option<Timestamp> {
    let mut seconds = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = match rest[digits..].chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            'w' => 7 * 86400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    let some = (!text.is_empty()).then_some(seconds)?;
    Timestamp::now().checked_sub(SignedDuration::from_secs(some)).ok()
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
