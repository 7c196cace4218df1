//! Waits for bytes, which end on Ctrl-C.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{POLL, check_interrupted};

/// Reads what comes from `source`; `None` when nothing comes within `limit`.
///
/// # Errors
/// When the user interrupts, or reading fails.
pub fn read_within(
    source: &mut (impl Read + AsFd),
    buffer: &mut [u8],
    limit: Option<Duration>,
) -> io::Result<Option<usize>> {
    let started = Instant::now();
    let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(POLL.subsec_nanos()) };
    loop {
        if poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&tick))? > 0 {
            return source.read(buffer).map(Some);
        }
        check_interrupted().map_err(io::Error::other)?;
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            return Ok(None);
        }
    }
}

/// A pipe's end whose waits end on Ctrl-C.
#[derive(Debug)]
pub struct PipeEnd(OwnedFd);

impl PipeEnd {
    /// Wraps either end of a pipe.
    ///
    /// # Errors
    /// When it is no open file.
    pub fn new(end: impl Into<OwnedFd>) -> io::Result<Self> {
        let end = end.into();
        let flags = rustix::fs::fcntl_getfl(&end)?;
        rustix::fs::fcntl_setfl(&end, flags | rustix::fs::OFlags::NONBLOCK)?;
        Ok(Self(end))
    }

    /// Waits until something can be read or written, or the other end has gone; `false` after
    /// a tenth of a second without either.
    ///
    /// # Errors
    /// When the user interrupts or the pipe cannot be waited for.
    pub fn ready(&self, flags: PollFlags) -> io::Result<bool> {
        check_interrupted().map_err(io::Error::other)?;
        let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(POLL.subsec_nanos()) };
        match poll(&mut [PollFd::new(&self.0, flags)], Some(&limit)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for PipeEnd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PipeEnd {
    /// What can be read now; `None` after a tenth of a second without a byte. 0 is the end.
    ///
    /// # Errors
    /// As [`PipeEnd::ready`].
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.ready(PollFlags::IN)? {
            return Ok(None);
        }
        match rustix::io::read(&self.0, buffer) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            read => Ok(Some(read?)),
        }
    }
}

impl Read for PipeEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(read) = self.try_read(buffer)? {
                return Ok(read);
            }
        }
    }
}

impl Write for PipeEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            if self.ready(PollFlags::OUT)? {
                match rustix::io::write(&self.0, bytes) {
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    written => return Ok(written?),
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
