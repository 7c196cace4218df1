//! The file format: pairs of a zstd frame that `zstdcat` skips and one with entries.
//!
//! The skipped frame says what the next one holds, so that a search goes from one to the next and
//! unpacks none that cannot have what is wanted; and nothing beside the file can be lost.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// One of the sixteen numbers with which a skippable frame begins (RFC 8878, 3.1.2).
const SKIPPABLE: u32 = 0x184D_2A5C;
/// The level that zstd itself chooses.
const LEVEL: i32 = 3;
/// Entries gathered for one frame; what a search unpacks at least.
pub const BLOCK: usize = 4 << 20;
/// No block grows beyond this: the last entry of one may be long.
const LARGEST: usize = BLOCK + (65 << 20);

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The container's full id.
    pub container: String,
    /// The earliest stamp.
    pub from: String,
    /// The latest stamp.
    pub to: String,
    /// How many entries there are.
    pub entries: u64,
    /// How many of them are parts of lines that go on in another.
    pub parts: u64,
    /// Their size.
    pub bytes: usize,
    /// The size of the frame that follows.
    pub packed: u64,
}

/// A frame in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it holds.
    pub head: Head,
    /// Where its entries begin.
    offset: u64,
}

impl Place {
    /// Where the next frame begins.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.head.packed)
    }
}

/// The bytes of both frames for these entries; `head.packed` is filled in.
///
/// # Errors
/// When zstd cannot pack them.
pub fn pack(mut head: Head, entries: &[u8]) -> Result<Vec<u8>> {
    let mut packer = zstd::bulk::Compressor::new(LEVEL).context("starting zstd")?;
    packer.include_checksum(true).context("starting zstd")?;
    let packed = packer.compress(entries).context("packing log entries")?;
    head.packed = packed.len() as u64;
    let text = serde_json::to_vec(&head).context("writing a frame's head")?;
    let mut bytes = Vec::with_capacity(8 + text.len() + packed.len());
    bytes.extend_from_slice(&SKIPPABLE.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(text.len())?.to_le_bytes());
    bytes.extend_from_slice(&text);
    bytes.extend_from_slice(&packed);
    Ok(bytes)
}

/// The frame at `offset`; `None` where the file ends there, or within it.
///
/// # Errors
/// When something else stands there.
pub fn at(file: &File, offset: u64, length: u64) -> Result<Option<Place>> {
    let mut start = [0; 8];
    if offset.saturating_add(8) > length {
        return Ok(None);
    }
    file.read_exact_at(&mut start, offset)?;
    let [a, b, c, d, e, f, g, h] = start;
    ensure!(
        u32::from_le_bytes([a, b, c, d]) == SKIPPABLE,
        "no frame of ours begins at byte {offset}"
    );
    let size = u64::from(u32::from_le_bytes([e, f, g, h]));
    let data = offset + 8 + size;
    if data > length {
        return Ok(None);
    }
    ensure!(size < 1 << 16, "no frame of ours begins at byte {offset}");
    let mut text = vec![0; usize::try_from(size)?];
    file.read_exact_at(&mut text, offset + 8)?;
    let head: Head = serde_json::from_slice(&text)
        .with_context(|| format!("no frame of ours begins at byte {offset}"))?;
    let place = Place { head, offset: data };
    Ok((place.end() <= length).then_some(place))
}

/// The entries of a frame, as lines.
///
/// # Errors
/// When they are damaged.
pub fn unpack(file: &File, place: &Place) -> Result<Vec<u8>> {
    let Head { bytes, packed, .. } = place.head;
    let is_ours = bytes <= LARGEST && packed <= zstd::zstd_safe::compress_bound(LARGEST) as u64;
    ensure!(is_ours, "the frame at byte {} is damaged", place.offset);
    let mut data = vec![0; usize::try_from(packed)?];
    let damaged = |error: io::Error| {
        anyhow::Error::from(error).context(format!("the frame at byte {} is damaged", place.offset))
    };
    file.read_exact_at(&mut data, place.offset).map_err(damaged)?;
    zstd::bulk::decompress(&data, bytes).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garble::garbled;
    use std::io::Write;

    fn head(container: &str, entries: &[u8]) -> Head {
        let stamp = "2026-11-23T13:05:48.123456789Z".to_owned();
        let (from, to) = (stamp.clone(), stamp);
        Head {
            container: container.to_owned(),
            from,
            to,
            entries: 1,
            parts: 0,
            bytes: entries.len(),
            packed: 0,
        }
    }

    #[test]
    fn frames_are_found_one_after_the_other_and_a_torn_one_is_none() {
        let mut file = tempfile::tempfile().unwrap();
        let first = pack(head("a", b"one\n"), b"one\n").unwrap();
        let second = pack(head("b", b"two\n"), b"two\n").unwrap();
        file.write_all(&[first.as_slice(), &second].concat()).unwrap();
        let length = (first.len() + second.len()) as u64;
        let one = at(&file, 0, length).unwrap().unwrap();
        assert_eq!(
            (one.end(), unpack(&file, &one).unwrap()),
            (first.len() as u64, b"one\n".to_vec())
        );
        let two = at(&file, one.end(), length).unwrap().unwrap();
        assert_eq!((two.head.container.as_str(), two.end()), ("b", length));
        assert_eq!(at(&file, two.end(), length).unwrap(), None);
        for torn in one.end() + 1..length {
            assert_eq!(at(&file, one.end(), torn).unwrap(), None, "{torn}");
        }
    }

    #[test]
    fn frames_of_any_kind_are_read_to_their_end() {
        let whole = [pack(head("a", b"one\n"), b"one\n"), pack(head("b", b"two\n"), b"two\n")];
        let whole = whole.map(Result::unwrap).concat();
        let words = ["18446744073709551615", "-1", "0", "72057594037927936", "\\u0000", "{"];
        garbled(&whole, &words, |bytes| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            let length = bytes.len() as u64;
            let (mut offset, mut frames) = (0, 0);
            while let Ok(Some(place)) = at(&file, offset, length) {
                assert!(place.end() > offset && place.end() <= length);
                let _ = unpack(&file, &place);
                (offset, frames) = (place.end(), frames + 1);
            }
            assert!(frames <= bytes.len() / 8);
        });
    }

    #[test]
    fn a_damaged_frame_is_named() {
        let mut file = tempfile::tempfile().unwrap();
        let mut bytes = pack(head("a", b"one\n"), b"one\n").unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        file.write_all(&bytes).unwrap();
        let place = at(&file, 0, bytes.len() as u64).unwrap().unwrap();
        assert!(unpack(&file, &place).unwrap_err().to_string().contains("is damaged"));
        assert!(at(&file, 1, bytes.len() as u64).is_err());
    }
}
