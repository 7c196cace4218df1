//! What the engine has of a container's log and the archive has not.
//!
//! The engine is asked for its last messages, and not for those since a time: it would leave out
//! what was written after the clock was set back. How many is found by asking for more and more
//! and looking at the first only, which costs the engine little; what the first ones are, the
//! [`Recogniser`] says.

use anyhow::Result;

use super::cursor::{Position, Recogniser, Verdict};
use super::entry::{Entry, fingerprint};
use crate::docker::container::Container;
use crate::docker::log::{Begin, Message, Messages, format_stamp};

/// Messages asked for first.
const FEW: u64 = 256;
/// More than any engine keeps: the whole log is read.
const ALL: u64 = 1 << 32;
/// How often a number is tried before the whole log is read.
const TRIES: usize = 8;

/// The messages that were not archived yet.
#[derive(Debug)]
pub struct Fresh {
    messages: Messages,
    /// Whether the current message of `messages` is to be given out next.
    has_first: bool,
    /// Whether nothing of what was archived is left in the engine, so that lines may be missing
    /// before the first message.
    pub is_after_gap: bool,
}

impl Fresh {
    /// Asks the engine for what comes after `position`; for everything where there is none.
    ///
    /// # Errors
    /// As [`Messages::open`] and [`Messages::read`].
    pub fn open(container: &Container, position: Option<&Position>) -> Result<Self> {
        let Some(position) = position else { return Self::begin(container, Begin::First) };
        // Engine 20.10 mixes up the packed parts of a log when it is asked for them twice at a time.
        if !container.packs_log()
            && let Some((_, messages)) = reach(container, position)?
            && let Some(fresh) = after(messages, position, None)?
        {
            return Ok(fresh);
        }
        let mut messages = Messages::open(container, Begin::First, false)?;
        if messages.read()?.is_none() {
            return Ok(Self { messages, has_first: false, is_after_gap: false });
        }
        match after(messages, position, None)? {
            Some(fresh) => Ok(fresh),
            // What the engine has discarded does not come back: all that it has now is new.
            None => Ok(Self { is_after_gap: true, ..Self::begin(container, Begin::First)? }),
        }
    }

    /// Takes the engine's messages from `begin` on as they are.
    ///
    /// # Errors
    /// As [`Messages::open`].
    pub fn begin(container: &Container, begin: Begin<'_>) -> Result<Self> {
        let messages = Messages::open(container, begin, false)?;
        Ok(Self { messages, has_first: false, is_after_gap: false })
    }

    /// As [`Fresh::open`], and goes on with what is yet to come.
    ///
    /// # Errors
    /// As [`Messages::open`] and [`Messages::read`].
    pub fn follow(container: &Container, position: Option<&Position>) -> Result<Self> {
        let now = format_stamp(jiff::Timestamp::now());
        if let Some(position) = position
            && let Some((count, _)) = reach(container, position)?
        {
            // More may have come since.
            let begin = Begin::Last(count.saturating_mul(2));
            let mut messages = Messages::open(container, begin, true)?;
            if messages.read()?.is_some()
                && let Some(fresh) = after(messages, position, Some(&now))?
            {
                return Ok(fresh);
            }
        }
        let messages = Messages::open(container, Begin::First, true)?;
        Ok(Self { messages, has_first: false, is_after_gap: position.is_some() })
    }

    /// The next message, until the log ends.
    ///
    /// # Errors
    /// As [`Messages::read`].
    pub fn read(&mut self) -> Result<Option<&Message>> {
        if std::mem::take(&mut self.has_first) {
            return Ok(Some(self.messages.current()));
        }
        self.messages.read()
    }
}

/// Asks for as many of the last messages as reach back to the last archived one, to judge by
/// their stamps. Says how many, with the first of them read; `None` when too many were tried.
fn reach(container: &Container, position: &Position) -> Result<Option<(u64, Messages)>> {
    let mut count = FEW;
    let mut earliest = None;
    for _ in 0..TRIES {
        let mut messages = Messages::open(container, Begin::Last(count), false)?;
        let Some(first) = messages.read()?.map(|first| first.stamp.clone()) else { break };
        // The same first one again: there are no more.
        if first <= position.stamp || earliest.as_ref() == Some(&first) {
            return Ok(Some((count, messages)));
        }
        count = guess(count, &first, &position.stamp);
        earliest = Some(first);
    }
    Ok(None)
}

/// Leaves out what was archived, beginning with the current message. `None` when nothing of it is
/// there before the log ends, or before the stamp `until`.
fn after(
    mut messages: Messages,
    position: &Position,
    until: Option<&str>,
) -> Result<Option<Fresh>> {
    let mut recogniser = Recogniser::new(&position.trail);
    let mut line = Vec::new();
    let has_first = loop {
        line.clear();
        Entry::from(messages.current()).write(&mut line);
        let verdict = recogniser.judge(fingerprint(&line));
        if verdict == Verdict::New {
            break true;
        }
        let is_late = until.is_some_and(|until| messages.current().stamp.as_str() >= until);
        if verdict == Verdict::Unknown && is_late {
            return Ok(None);
        }
        if recogniser.is_past() || messages.read()?.is_none() {
            break false;
        }
    };
    let fresh = Fresh { messages, has_first, is_after_gap: false };
    Ok(recogniser.has_recognised().then_some(fresh))
}

/// How many messages to ask for, when `count` reach back to `first` and not to `wanted`, as if
/// they came evenly. A wrong guess, or an unsteady clock, costs time and no lines.
fn guess(count: u64, first: &str, wanted: &str) -> u64 {
    let now = jiff::Timestamp::now();
    let age = |stamp: &str| {
        let stamp = stamp.parse::<jiff::Timestamp>().unwrap_or(now);
        now.duration_since(stamp).as_secs_f64().max(1e-3)
    };
    let times = (1.1 * age(wanted) / age(first)).clamp(1.25, 64.0);
    ((count as f64 * times) as u64).saturating_add(FEW).min(ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_goes_on_and_not_too_far() {
        let ago = |seconds| {
            let time = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
            crate::docker::log::format_stamp(time)
        };
        let near = guess(1000, &ago(100), &ago(300));
        assert!((3000..4000).contains(&near), "{near}");
        assert_eq!(guess(1000, &ago(-50), &ago(-50)), 1250 + FEW);
        assert_eq!(guess(1000, &ago(1), &ago(1_000_000)), 64_000 + FEW);
        assert_eq!(guess(1000, "nonsense", &ago(10)), 64_000 + FEW);
    }
}
