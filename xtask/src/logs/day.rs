//! How the files of archived logs are named: by day.

use anyhow::Result;

use crate::names::checked;

const SUFFIX: &str = ".log.zst";

checked! {
    /// A day as its files are named: `2026-11-23`.
    pub struct Day: "a day", |text| {
        text.parse::<jiff::civil::Date>().is_ok_and(|date| date.to_string() == text)
    }
}

checked! {
    /// `<day>.log.zst`, or `<day>.<part>.log.zst` from the second on.
    pub struct ArchiveFile: "a file of archived logs", |text| {
        parse(text).is_some_and(|(day, part)| name_of(day, part) == text)
    }
}

impl From<jiff::civil::Date> for Day {
    fn from(date: jiff::civil::Date) -> Self {
        Self(date.to_string())
    }
}

impl ArchiveFile {
    /// The file of `day` with this number.
    ///
    /// # Errors
    /// When there is no such file: numbers begin with 1.
    pub(super) fn of(day: &Day, part: u32) -> Result<Self> {
        name_of(day, part).try_into()
    }

    /// The day and the number in its name, in the order of time.
    pub(super) fn place(&self) -> (&str, u32) {
        parse(self).unwrap_or(("", 1))
    }
}

fn name_of(day: &str, part: u32) -> String {
    if part > 1 { format!("{day}.{part}{SUFFIX}") } else { format!("{day}{SUFFIX}") }
}

fn parse(name: &str) -> Option<(&str, u32)> {
    let stem = name.strip_suffix(SUFFIX)?;
    let (day, part) = match stem.split_once('.') {
        Some((day, part)) => (day, part.parse().ok()?),
        None => (stem, 1),
    };
    Day::try_from(day).ok()?;
    Some((day, part))
}
