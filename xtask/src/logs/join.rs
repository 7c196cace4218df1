//! Lines as a program wrote them, from entries that may be parts.

use std::collections::VecDeque;

use super::entry::{Entry, Origin};

/// A line that is longer is shown in parts.
const LONGEST: usize = 1 << 20;

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// RFC 3339, UTC, nine digits of a second.
    pub stamp: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Without line break.
    pub text: Vec<u8>,
}

/// Joins the entries of one container. The engine gives all parts of a line the same stamp; the
/// last may look like any other part (Engine 20.10 with the driver `local`), or be missing.
#[derive(Debug, Default)]
pub struct Joiner {
    /// What has begun on the two streams.
    begun: [Option<Line>; 2],
    ready: VecDeque<Line>,
}

impl Joiner {
    /// Takes the next entry.
    pub fn push(&mut self, entry: &Entry<'_>) {
        let begun = &mut self.begun[usize::from(entry.origin == Origin::Stderr)];
        if let Some(line) =
            begun.take_if(|line| line.stamp != entry.stamp || line.text.len() >= LONGEST)
        {
            self.ready.push_back(line);
        }
        let line = begun.get_or_insert_with(|| Line {
            stamp: entry.stamp.to_owned(),
            origin: entry.origin,
            text: Vec::new(),
        });
        line.text.extend_from_slice(entry.text);
        if entry.ends_line {
            self.ready.extend(begun.take());
        }
    }

    /// The next line that is whole.
    pub fn pop(&mut self) -> Option<Line> {
        self.ready.pop_front()
    }

    /// Takes lines for whole that nothing more comes to.
    pub fn finish(&mut self) {
        let begun = self.begun.iter_mut().filter_map(Option::take);
        self.ready.extend(begun);
    }

    /// Whether a line has begun and is not whole.
    pub fn has_begun(&self) -> bool {
        self.begun.iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(entries: &[(u8, &str, bool, &str)]) -> Vec<String> {
        let mut joiner = Joiner::default();
        for (second, stream, ends_line, text) in entries {
            let origin = if *stream == "err" { Origin::Stderr } else { Origin::Stdout };
            let (stamp, text) =
                (format!("2026-11-23T13:05:{second:02}.123456789Z"), text.as_bytes());
            joiner.push(&Entry { stamp: &stamp, origin, ends_line: *ends_line, text });
        }
        joiner.finish();
        std::iter::from_fn(|| joiner.pop())
            .map(|line| String::from_utf8(line.text).unwrap())
            .collect()
    }

    #[test]
    fn parts_of_one_stamp_and_stream_are_a_line() {
        let entries = [
            (1, "out", false, "a"),
            (2, "err", true, "x"),
            (1, "out", false, "b"),
            (1, "out", true, "c"),
        ];
        assert_eq!(joined(&entries), ["x", "abc"]);
    }

    #[test]
    fn a_line_that_nothing_ends_is_one_all_the_same() {
        let cut_off = [(1, "out", false, "a"), (2, "out", true, "b"), (3, "out", false, "c")];
        assert_eq!(joined(&cut_off), ["a", "b", "c"]);
    }
}
