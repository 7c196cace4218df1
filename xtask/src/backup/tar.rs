//! Archives as they are believed: what a foreign tar stream holds is parsed member by member, and
//! what goes on from here, to be stored or unpacked, is written anew from what was parsed. So no
//! `tar` can see anything else in it than we have.

pub mod member;

use std::io::{self, Read};

use anyhow::{Result, ensure};

pub use self::member::BLOCK;
use self::member::{Header, Kind, Member, Overrides, is_zero};
use crate::process::check_interrupted;

/// What stands at an archive's end.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// The permissions that a member may have, whatever its archive says.
pub const MODES: u32 = 0o777;
/// Longest name, and most bytes of pax records, of a member.
const LONGEST: u64 = 64 << 10;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Archives that follow each other in a stream, one after another. What is read are the members of
/// the first, written anew, without an end, so that several can be joined; then, after
/// [`Archive::go_on`], those of the next.
#[derive(Debug)]
pub struct Archive<R> {
    source: R,
    allowed: u32,
    input: Box<[u8]>,
    /// Where in `input` lies what was read and not yet looked at.
    start: usize,
    end: usize,
    /// Headers and padding still to be handed over.
    output: Vec<u8>,
    given: usize,
    next: Next,
    /// Bytes of the last member, to know its padding.
    last: u64,
}

/// What comes next in the source.
#[derive(Debug, Clone, Copy)]
enum Next {
    Header,
    /// So many bytes of a file.
    Contents(u64),
    /// Another archive or nothing.
    End,
}

impl<R: Read> Archive<R> {
    /// The first of `source`. Members get no permissions but those in `allowed`.
    pub fn new(source: R, allowed: u32) -> Self {
        Self {
            source,
            allowed: allowed & MODES,
            input: vec![0; CHUNK].into(),
            start: 0,
            end: 0,
            output: Vec::new(),
            given: 0,
            next: Next::Header,
            last: 0,
        }
    }

    /// Goes on to the archive after one that was read to its end; `false` where the stream has none.
    ///
    /// # Errors
    /// When reading fails.
    pub fn go_on(&mut self) -> Result<bool> {
        loop {
            // What follows an archive's end is empty up to the next one.
            let block = self.up_to(BLOCK)?;
            if block.is_empty() {
                return Ok(false);
            }
            if !is_zero(block) {
                self.next = Next::Header;
                return Ok(true);
            }
            self.start += block.len();
        }
    }

    /// The next member, whose contents are then still to be read; `None` at the archive's end.
    ///
    /// # Errors
    /// When the archive is damaged, cut off, or holds what may not be in one.
    fn member(&mut self) -> Result<Option<Member>> {
        let mut overrides = Overrides::default();
        loop {
            let block: [u8; BLOCK] = self.exactly(BLOCK)?.try_into()?;
            if is_zero(&block) {
                ensure!(overrides.is_none(), "the archive ends before a member that it has begun");
                self.ending()?;
                return Ok(None);
            }
            match Header::parse(&block, &mut overrides)? {
                Header::Member(member) => return Ok(Some(member)),
                Header::LongName(size) => overrides.long_name(self.text(size)?)?,
                Header::Records(size) => overrides.records(self.text(size)?)?,
            }
        }
    }

    fn text(&mut self, size: u64) -> Result<&[u8]> {
        ensure!((1..=LONGEST).contains(&size), "the archive holds a name of {size} bytes");
        let size = usize::try_from(size)?;
        Ok(&self.exactly(size.next_multiple_of(BLOCK))?[..size])
    }

    /// A second empty block. `pg_basebackup` before 15 leaves out the padding of its last member,
    /// the backup's manifest: what it writes is short by just that.
    fn ending(&mut self) -> Result<()> {
        let unpadded = usize::try_from(self.last % BLOCK as u64)?;
        let block = self.up_to(BLOCK)?;
        ensure!(is_zero(block), "the archive goes on after its end");
        let is_whole = block.len() == BLOCK || (unpadded > 0 && block.len() == unpadded);
        ensure!(is_whole, "the archive is cut off: it has no end");
        self.start += block.len();
        self.next = Next::End;
        Ok(())
    }

    /// Hands over the next piece; 0 bytes at the archive's end.
    fn piece(&mut self, into: &mut [u8]) -> Result<usize> {
        loop {
            let waiting = &self.output[self.given..];
            if !waiting.is_empty() {
                let now = waiting.len().min(into.len());
                into[..now].copy_from_slice(&waiting[..now]);
                self.given += now;
                return Ok(now);
            }
            match self.next {
                Next::End => return Ok(0),
                Next::Header => self.begin()?,
                Next::Contents(0) => self.pad()?,
                Next::Contents(left) => {
                    let there = self.up_to(1)?.len();
                    ensure!(there > 0, "the archive is cut off within a member");
                    let there = there.max(self.end - self.start).min(into.len());
                    let now = usize::try_from(left).map_or(there, |left| left.min(there));
                    into[..now].copy_from_slice(&self.input[self.start..self.start + now]);
                    self.start += now;
                    self.next = Next::Contents(left - now as u64);
                    return Ok(now);
                }
            }
        }
    }

    fn begin(&mut self) -> Result<()> {
        let Some(member) = self.member()? else { return Ok(()) };
        self.last = if let Kind::File(bytes) = member.kind { bytes } else { 0 };
        self.next = Next::Contents(self.last);
        (self.output, self.given) = (member.headers(self.allowed), 0);
        Ok(())
    }

    fn pad(&mut self) -> Result<()> {
        let padding = usize::try_from((BLOCK as u64 - self.last % BLOCK as u64) % BLOCK as u64)?;
        self.exactly(padding)?;
        self.output.clear();
        self.output.resize(padding, 0);
        (self.given, self.next) = (0, Next::Header);
        Ok(())
    }

    /// The next so many bytes, which are then looked at.
    fn exactly(&mut self, bytes: usize) -> Result<&[u8]> {
        ensure!(self.up_to(bytes)?.len() == bytes, "the archive is cut off: it has no end");
        self.start += bytes;
        Ok(&self.input[self.start - bytes..self.start])
    }

    /// The next so many bytes; fewer at the stream's end.
    fn up_to(&mut self, bytes: usize) -> Result<&[u8]> {
        while self.end - self.start < bytes {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            check_interrupted()?;
            match self.source.read(&mut self.input[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(&self.input[self.start..self.end.min(self.start + bytes)])
    }
}

impl<R: Read> Read for Archive<R> {
    /// As much as can be had without waiting for more of the source.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            let now = self.piece(&mut into[filled..]).map_err(io::Error::other)?;
            filled += now;
            if now == 0 || (self.start == self.end && self.given == self.output.len()) {
                break;
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests;
