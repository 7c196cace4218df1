//! One line of an archive.

use sha2::{Digest, Sha256};

use crate::docker::log::{Message, STAMP, Stream};

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A container's standard output.
    Stdout,
    /// A container's standard error.
    Stderr,
    /// Ourselves: lines may be missing here.
    Gap,
}

impl Origin {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Gap => "gap",
        }
    }
}

/// An entry, without line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// RFC 3339, UTC, nine digits of a second.
    pub stamp: &'a str,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it ends its line.
    pub ends_line: bool,
    /// Any bytes but line breaks.
    pub text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads a line of an archive, without its line break; `None` where it is none.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let (stamp, rest) = line.split_at_checked(STAMP)?;
        let rest = rest.strip_prefix(b" ")?;
        let space = memchr::memchr(b' ', rest)?;
        let origin = match &rest[..space] {
            b"stdout" => Origin::Stdout,
            b"stderr" => Origin::Stderr,
            b"gap" => Origin::Gap,
            _ => return None,
        };
        let (ends_line, text) = match rest.get(space + 1..space + 3)? {
            b"F " => (true, &rest[space + 3..]),
            b"P " => (false, &rest[space + 3..]),
            _ => return None,
        };
        Some(Self { stamp: std::str::from_utf8(stamp).ok()?, origin, ends_line, text })
    }

    /// Adds the line to `buffer`, without line break.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.stamp.as_bytes());
        buffer.push(b' ');
        buffer.extend_from_slice(self.origin.word().as_bytes());
        buffer.extend_from_slice(if self.ends_line { b" F " } else { b" P " });
        let start = buffer.len();
        buffer.extend_from_slice(self.text);
        // A driver may pass several lines in one message; an entry has one.
        if memchr::memchr(b'\n', self.text).is_some() {
            for byte in buffer[start..].iter_mut().filter(|byte| **byte == b'\n') {
                *byte = b' ';
            }
        }
    }
}

impl<'a> std::convert::From<&'a Message> for Entry<'a> {
    fn from(message: &'a Message) -> Self {
        let origin = match message.stream {
            Stream::Stdout => Origin::Stdout,
            Stream::Stderr => Origin::Stderr,
        };
        Self { stamp: &message.stamp, origin, ends_line: message.ends_line, text: &message.text }
    }
}

/// Tells an entry from others by its stamp, stream and text.
pub fn fingerprint(line: &[u8]) -> u64 {
    let digest = Sha256::digest(line);
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for text in [&b"hello world"[..], b"", b" leading", b"\xff\xfe"] {
            let stamp = "2026-11-23T13:05:48.123456789Z";
            let entry = Entry { stamp, origin: Origin::Stderr, ends_line: false, text };
            let mut line = Vec::new();
            entry.write(&mut line);
            assert_eq!(Entry::parse(&line), Some(entry));
        }
        assert_eq!(Entry::parse(b"2026-11-23 something else"), None);
    }

    #[test]
    fn a_message_of_several_lines_stays_one_entry() {
        let stamp = "2026-11-23T13:05:48.123456789Z";
        let mut line = Vec::new();
        Entry { stamp, origin: Origin::Stdout, ends_line: true, text: b"a\nb" }.write(&mut line);
        assert!(line.ends_with(b" stdout F a b"));
    }
}
