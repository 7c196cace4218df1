//! Sizes and times as people write them.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A number of bytes. Read from `10GB`, `512m`, `2gb`, `1.5 GiB`: powers of 1024, as Docker and
/// Redis take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let digits = usize::from(unit > 0 && value < 10.0);
        f.pad(&format!("{value:.digits$} {}", UNITS[unit]))
    }
}

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let power = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
            "" => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            _ => return Err(format!("`{text}` is not a size such as 512m or 2gb")),
        };
        let number: f64 =
            number.parse().map_err(|_| format!("`{text}` is not a size such as 512m or 2gb"))?;
        Ok(Self((number * 1024_f64.powi(power)) as u64))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The size of an image, in powers of 1000, as `docker images` prints it.
pub fn image_size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1000),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// `1 error`, `3 errors`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The seconds of `90s`, `5min`, `1d12h`, as people write them; `None` where it is none of these.
pub fn seconds(text: &str) -> Option<i64> {
    let mut seconds = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let word = &rest[..rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len())];
        let unit = match word {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86400,
            "w" | "week" | "weeks" => 7 * 86400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[word.len()..];
    }
    (!text.is_empty()).then_some(seconds)
}

/// `3 d 4 h`, `5 min 2 s`, `0.8 s`: the two largest units.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_and_redis_read_them() {
        for (text, bytes) in [
            ("10GB", 10 << 30),
            ("512m", 512 << 20),
            ("2gb", 2 << 30),
            ("1.5GiB", 3 << 29),
            ("7", 7),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        assert!("much".parse::<Bytes>().is_err());
        assert_eq!(Bytes(3 << 29).to_string(), "1.5 GB");
    }

    #[test]
    fn images_are_as_large_as_docker_says() {
        let sizes = [999, 127_900_000, 1_274_000_000].map(image_size);
        assert_eq!(sizes, ["0 kB", "127 MB", "1.27 GB"]);
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|n| count(n, "check")), ["0 checks", "1 check", "2 checks"]);
    }

    #[test]
    fn times_show_their_two_largest_units() {
        assert_eq!(duration(Duration::from_millis(840)), "0.8 s");
        assert_eq!(duration(Duration::from_secs(3 * 86400 + 4 * 3600 + 59)), "3 d 4 h");
    }
}
