//! Several archives in one stream: taken apart as a helper writes one after another, and joined
//! for one that unpacks them all.

use std::io::{self, Read, Write};

use anyhow::{Result, ensure};

use super::archive::{BLOCK, END, Scan};

/// Bytes read at once; whole blocks.
const CHUNK: usize = 1 << 20;

/// Archives that follow each other in `source`. Reading ends with each of them;
/// [`Archives::go_on`] goes on to the one after.
#[derive(Debug)]
pub struct Archives<R> {
    source: R,
    scan: Scan,
    /// What was read: whole blocks, of which those before `at` were handed over.
    buffer: Vec<u8>,
    at: usize,
    /// Of the rest, what is known to belong to the archive.
    ready: usize,
    /// Of the archive's end, still to be handed over.
    end: usize,
    /// So many empty blocks have come; two are the end.
    end_blocks: usize,
    is_over: bool,
}

impl<R: Read> Archives<R> {
    /// Nothing can be read before the first [`Archives::go_on`].
    pub fn new(source: R) -> Self {
        Self {
            source,
            scan: Scan::default(),
            buffer: Vec::new(),
            at: 0,
            ready: 0,
            end: 0,
            end_blocks: 0,
            is_over: true,
        }
    }

    /// Goes on to the next archive; `false` at the stream's end.
    ///
    /// # Errors
    /// When reading fails.
    pub fn go_on(&mut self) -> io::Result<bool> {
        (self.scan, self.end_blocks) = (Scan::default(), 0);
        loop {
            // What follows an archive's end is empty up to the next one.
            while self.at < self.buffer.len() && self.buffer[self.at] == 0 {
                self.at += 1;
            }
            if self.at < self.buffer.len() {
                self.at -= self.at % BLOCK;
                self.is_over = false;
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// Reads the next blocks; `false` at the stream's end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.resize(CHUNK, 0);
        let (mut filled, mut is_more) = (0, true);
        // At least whole blocks, at best what is there.
        while is_more && (filled == 0 || filled % BLOCK != 0) {
            match self.source.read(&mut self.buffer[filled..]) {
                Ok(read) => {
                    filled += read;
                    is_more = read > 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(filled);
        self.at = 0;
        Ok(filled > 0)
    }
}

impl<R: Read> Read for Archives<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.end > 0 {
                let now = self.end.min(into.len());
                into[..now].fill(0);
                self.end -= now;
                return Ok(now);
            }
            if self.is_over || (self.at == self.buffer.len() && !self.fill()?) {
                return Ok(0);
            }
            if self.ready > 0 {
                let now = self.ready.min(into.len());
                into[..now].copy_from_slice(&self.buffer[self.at..self.at + now]);
                self.at += now;
                self.ready -= now;
                return Ok(now);
            }
            let whole = self.buffer.len() / BLOCK * BLOCK;
            if self.at >= whole {
                let error = "the archive is cut off within a block";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
            }
            let blocks = &self.buffer[self.at..whole];
            self.ready = self.scan.members(blocks).map_err(io::Error::other)?;
            if self.ready == 0 {
                self.at += BLOCK;
                self.end += BLOCK;
                self.end_blocks += 1;
                self.is_over = self.end_blocks * BLOCK == END.len();
            }
        }
    }
}

/// One archive of all that are written: the ends of all but the last are left out.
#[derive(Debug)]
pub struct Joined<W> {
    sink: W,
    scan: Scan,
    /// Part of a block.
    pending: Vec<u8>,
    is_over: bool,
}

impl<W: Write> Joined<W> {
    /// What is written goes to `sink`.
    pub fn new(sink: W) -> Self {
        Self { sink, scan: Scan::default(), pending: Vec::new(), is_over: false }
    }

    /// The next bytes of an archive.
    ///
    /// # Errors
    /// When it is none, or cannot be written.
    pub fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if self.is_over {
            return Ok(());
        }
        self.pending.extend_from_slice(bytes);
        let whole = self.pending.len() / BLOCK * BLOCK;
        let members = self.scan.members(&self.pending[..whole])?;
        self.sink.write_all(&self.pending[..members])?;
        self.is_over = members < whole;
        self.pending.drain(..whole);
        Ok(())
    }

    /// This archive is over.
    ///
    /// # Errors
    /// When its end was missing.
    pub fn go_on(&mut self) -> Result<()> {
        ensure!(self.is_over, "the archive is cut off: it has no end");
        (self.scan, self.is_over) = (Scan::default(), false);
        self.pending.clear();
        Ok(())
    }

    /// There is no other; gives back where they went.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<W> {
        self.sink.write_all(&END)?;
        Ok(self.sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `tar` writes of a folder with one file of this size.
    fn archive(name: &str, bytes: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), vec![b'x'; bytes]).unwrap();
        let args = ["--create", "--file", "-", "--directory"];
        let output =
            std::process::Command::new("tar").args(args).arg(folder.path()).arg(".").output();
        output.unwrap().stdout
    }

    /// Hands over a few bytes at a time, as a pipe may.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let now = into.len().min(700).min(self.0.len());
            into[..now].copy_from_slice(&self.0[..now]);
            self.0 = &self.0[now..];
            Ok(now)
        }
    }

    #[test]
    fn archives_in_one_stream_are_told_apart_and_joined_again() {
        let (one, two) = (archive("one", 3000), archive("two", 0));
        let both = [one.as_slice(), &two].concat();
        let mut archives = Archives::new(Slowly(&both));
        let mut joined = Joined::new(Vec::new());
        let mut names = 0;
        while archives.go_on().unwrap() {
            let mut own = Vec::new();
            archives.read_to_end(&mut own).unwrap();
            let mut scan = Scan::default();
            scan.take(&own).unwrap();
            scan.finish().unwrap();
            assert_eq!(scan.entries, 2);
            for part in own.chunks(333) {
                joined.take(part).unwrap();
            }
            joined.go_on().unwrap();
            names += 1;
        }
        assert_eq!(names, 2);
        let mut scan = Scan::default();
        scan.take(&joined.finish().unwrap()).unwrap();
        scan.finish().unwrap();
        assert_eq!(scan.entries, 4);
    }

    #[test]
    fn a_stream_that_is_cut_off_is_no_archive() {
        let one = archive("one", 3000);
        for cut in [700, 2048, 4608] {
            let mut archives = Archives::new(&one[..cut]);
            assert!(archives.go_on().unwrap());
            let mut own = Vec::new();
            let read = archives.read_to_end(&mut own);
            let mut scan = Scan::default();
            let whole = read.is_ok() && scan.take(&own).is_ok() && scan.finish().is_ok();
            assert!(!whole, "{cut}");
        }
    }
}
