//! What runs by itself, and when.

use std::fmt;

use anyhow::{Context, Result};
use jiff::civil::{Time, Weekday};
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Deserializer};

use crate::names::is_project;
use crate::report::finding::Problem;

/// One entry of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its name: of units, records and metrics too.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// The arguments of our program.
    pub command: Vec<String>,
    /// How often.
    pub every: Every,
    /// The time of the day; of an hourly job only the minute counts.
    #[serde(default, deserialize_with = "time")]
    pub at: Time,
    /// Minutes by which a run may begin later.
    #[serde(default)]
    pub jitter: u32,
    /// What not every machine has; where it is missing the job is not run, and that is no failure.
    #[serde(default)]
    pub needs: Option<Need>,
}

/// What a job may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The private key, where backups are encrypted.
    PrivateKey,
}

/// How often a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// This many minutes, a divisor of 60.
    Minutes(i8),
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, on Sunday.
    Week,
    /// A month, on the first.
    Month,
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let minutes = || {
            let minutes = text.strip_suffix("min")?.parse().ok()?;
            (minutes > 0 && minutes < 60 && 60 % minutes == 0).then_some(Self::Minutes(minutes))
        };
        match text.as_str() {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => minutes(),
        }
        .ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is not one of hour, day, week, month, 1min, 5min, 10min, 15min, 30min"
            ))
        })
    }
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match is_project(&text) {
        true => Ok(text),
        false => Err(serde::de::Error::custom(format!(
            "`{text}` is not a job's name: lower-case letters, digits, `-` and `_`"
        ))),
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| serde::de::Error::custom(format!("`{text}` is not a time such as 02:30")))
}

impl Job {
    /// As systemd writes it (systemd.time(7), "Calendar events").
    pub fn calendar(&self) -> String {
        let (hour, minute) = (self.at.hour(), self.at.minute());
        match self.every {
            Every::Minutes(minutes) => format!("*-*-* *:0/{minutes}:00"),
            Every::Hour => format!("*-*-* *:{minute:02}:00"),
            Every::Day => format!("*-*-* {hour:02}:{minute:02}:00"),
            Every::Week => format!("Sun *-*-* {hour:02}:{minute:02}:00"),
            Every::Month => format!("*-*-01 {hour:02}:{minute:02}:00"),
        }
    }

    /// As cron writes it (crontab(5)).
    pub fn cron(&self) -> String {
        let (hour, minute) = (self.at.hour(), self.at.minute());
        match self.every {
            Every::Minutes(minutes) => format!("*/{minutes} * * * *"),
            Every::Hour => format!("{minute} * * * *"),
            Every::Day => format!("{minute} {hour} * * *"),
            Every::Week => format!("{minute} {hour} * * 0"),
            Every::Month => format!("{minute} {hour} 1 * *"),
        }
    }

    /// Seconds between two runs; of a month the longest.
    pub fn interval(&self) -> i64 {
        match self.every {
            Every::Minutes(minutes) => i64::from(minutes) * 60,
            Every::Hour => 3600,
            Every::Day => 86400,
            Every::Week => 7 * 86400,
            Every::Month => 31 * 86400,
        }
    }

    /// When it is due after `now`, without jitter.
    ///
    /// # Errors
    /// At the end of time.
    pub fn next(&self, now: &Zoned) -> Result<Zoned> {
        let due = |time: &Zoned| match self.every {
            Every::Minutes(minutes) => time.minute() % minutes == 0,
            Every::Hour => time.minute() == self.at.minute(),
            _ => time.time().hour() == self.at.hour() && time.minute() == self.at.minute(),
        };
        let is_day = |time: &Zoned| match self.every {
            Every::Week => time.weekday() == Weekday::Sunday,
            Every::Month => time.day() == 1,
            _ => true,
        };
        let searching = || format!("looking for the next run of {}", self.name);
        let mut time = now.start_of_day().with_context(searching)?;
        while !is_day(&time) || self.in_day(&time, now, due).is_none() {
            time = time.checked_add(1.day()).with_context(searching)?;
        }
        self.in_day(&time, now, due).with_context(searching)
    }

    /// The first minute of `day` after `now` that is due.
    fn in_day(&self, day: &Zoned, now: &Zoned, due: impl Fn(&Zoned) -> bool) -> Option<Zoned> {
        let minutes = (0..24 * 60).map(|minute| day.checked_add(minute.minutes()));
        let of_day = |time: &Zoned| time.date() == day.date() && time > now;
        minutes.flatten().find(|time| of_day(time) && due(time))
    }
}

/// In words: `every day at 02:30`.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute) = (self.at.hour(), self.at.minute());
        match self.every {
            Every::Minutes(minutes) => write!(f, "every {minutes} minutes"),
            Every::Hour => write!(f, "every hour, at minute {minute}"),
            Every::Day => write!(f, "every day at {hour:02}:{minute:02}"),
            Every::Week => write!(f, "every Sunday at {hour:02}:{minute:02}"),
            Every::Month => write!(f, "on the first at {hour:02}:{minute:02}"),
        }
    }
}

/// The job called `name`.
///
/// # Errors
/// A usage problem that lists the jobs there are.
pub fn find<'a>(jobs: &'a [Job], name: &str) -> Result<&'a Job> {
    jobs.iter().find(|job| job.name == name).ok_or_else(|| {
        let known: Vec<_> = jobs.iter().map(|job| job.name.as_str()).collect();
        Problem::usage("job.unknown", format!("there is no job `{name}`"))
            .mend(format!("one of: {}", known.join(", ")))
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(every: &str, at: &str) -> Job {
        let text = format!("name = \"a\"\ncommand = [\"b\"]\nevery = \"{every}\"\nat = \"{at}\"");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_job_is_due_when_both_schedulers_say_so() {
        let now: Zoned = "2026-11-23T13:05:48[UTC]".parse().unwrap();
        for (every, at, calendar, cron, next) in [
            ("5min", "00:00", "*-*-* *:0/5:00", "*/5 * * * *", "2026-11-23T13:10:00+00:00[UTC]"),
            ("hour", "00:05", "*-*-* *:05:00", "5 * * * *", "2026-11-23T14:05:00+00:00[UTC]"),
            ("day", "02:30", "*-*-* 02:30:00", "30 2 * * *", "2026-11-24T02:30:00+00:00[UTC]"),
            ("day", "23:30", "*-*-* 23:30:00", "30 23 * * *", "2026-11-23T23:30:00+00:00[UTC]"),
            ("week", "06:00", "Sun *-*-* 06:00:00", "0 6 * * 0", "2026-11-29T06:00:00+00:00[UTC]"),
            ("month", "06:00", "*-*-01 06:00:00", "0 6 1 * *", "2026-12-01T06:00:00+00:00[UTC]"),
        ] {
            let job = job(every, at);
            assert_eq!((job.calendar().as_str(), job.cron().as_str()), (calendar, cron));
            assert_eq!(job.next(&now).unwrap().to_string(), next, "{every}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (every, at, words) in [
            ("7min", "00:00", "`7min` is not one of"),
            ("day", "25:00", "is not a time such as 02:30"),
        ] {
            let text =
                format!("name = \"a\"\ncommand = [\"b\"]\nevery = \"{every}\"\nat = \"{at}\"");
            let error = toml::from_str::<Job>(&text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        for name in ["../x", "a b", "%h", ""] {
            let text = format!("name = \"{name}\"\ncommand = [\"b\"]\nevery = \"day\"");
            assert!(toml::from_str::<Job>(&text).is_err(), "{name}");
        }
    }
}
