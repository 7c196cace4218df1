//! Bulk data out of helper containers and into them.
//!
//! Through a named pipe where the engine shares our kernel and files: the Docker client's streams
//! carry a tenth of what a pipe does. Through the client's stdin and stdout elsewhere. The scripts
//! are the same: they read their stdin and write their stdout.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

use super::helper::Helper;
use super::location::Location;
use crate::process::{Ends, PipeEnd, Running};
use crate::process::{Output, check_interrupted};

/// Bytes that a pipe holds; what an ordinary user may ask for.
const CAPACITY: usize = 1 << 20;
/// Makes the pipe a helper's stdout. Opened for both directions first, which waits for nobody: where
/// we have been killed, the first write fails instead.
const TO_PIPE: &str = "exec 3<>/pipe/data >/pipe/data 3>&-";
/// Makes the pipe its stdin once a line has said that we write; where we have been killed, there is
/// none.
const FROM_PIPE: &str = "exec 3<>/pipe/data; read -r _; exec </pipe/data 3>&-";
/// How the folders of pipes begin, so that the next run finds those of a killed one.
pub const PREFIX: &str = "pipe.";

/// The way that bulk data takes.
#[derive(Debug, Clone)]
pub enum Way {
    /// A named pipe in a folder of its own below this one.
    Pipe(PathBuf),
    /// The Docker client's streams.
    Client,
}

impl Way {
    /// The pipe in `scratch` where it works.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn choose(scratch: &Path) -> Result<Self> {
        Ok(if Location::current()?.shares_owners() {
            Self::Pipe(scratch.to_owned())
        } else {
            Self::Client
        })
    }
}

/// What a helper writes.
#[derive(Debug)]
pub struct Outgoing {
    end: PipeEnd,
    running: Running,
    _folder: Option<TempDir>,
}

impl Outgoing {
    /// Starts `script`, whose stdout is then read here. `input` goes to its stdin.
    ///
    /// # Errors
    /// When the pipe cannot be made or the helper not be started.
    pub fn start(
        helper: &Helper,
        script: &str,
        args: &[String],
        input: Option<Vec<u8>>,
        way: &Way,
    ) -> Result<Self> {
        let input = input.unwrap_or_default();
        match way {
            Way::Pipe(scratch) => {
                let folder = Fifo::new(scratch).context("making a pipe")?;
                // Before the helper runs, whose writes would fail.
                let end = folder.open(OFlags::RDONLY).context("opening the pipe")?;
                let script = format!("{TO_PIPE}\n{script}");
                let cmd =
                    helper.clone().mount(&folder.mounted, "/pipe")?.cmd(&script, args).stdin(input);
                let running = cmd.start(Ends::default())?;
                Ok(Self { end, running, _folder: Some(folder.outer) })
            }
            Way::Client => {
                let (end, theirs) = io::pipe().context("making a pipe")?;
                let ends = Ends { stdin: None, stdout: Some(theirs.into()) };
                let running = helper.cmd(script, args).stdin(input).start(ends)?;
                Ok(Self { end: PipeEnd::new(end)?, running, _folder: None })
            }
        }
    }

    /// Whether the helper has ended, and not well. A moment is given to one whose
    /// stream has just ended.
    pub fn has_failed(&mut self) -> bool {
        for _ in 0..10 {
            if self.running.has_ended().unwrap_or(true) {
                return self.running.finish().is_err();
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        false
    }

    /// Waits for the helper's end. Only then the bytes count: a killed writer's stream ends as
    /// cleanly as a whole one.
    ///
    /// # Errors
    /// When the helper failed or was stopped.
    pub fn finish(self) -> Result<Output> {
        self.running.finish()
    }
}

impl Read for Outgoing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(read) = self.end.try_read(buffer)? {
                return Ok(read);
            }
            // A helper that never opened the pipe leaves no end of file.
            if self.running.has_ended().map_err(io::Error::other)? {
                return Ok(self.end.try_read(buffer)?.unwrap_or(0));
            }
        }
    }
}

/// What a helper reads.
#[derive(Debug)]
pub struct Incoming {
    end: Option<PipeEnd>,
    running: Running,
    _folder: Option<TempDir>,
}

impl Incoming {
    /// Starts `script`, whose stdin is then written here.
    ///
    /// # Errors
    /// When the pipe cannot be made, or the helper does not begin to read.
    pub fn start(helper: &Helper, script: &str, args: &[String], way: &Way) -> Result<Self> {
        match way {
            Way::Pipe(scratch) => {
                let folder = Fifo::new(scratch).context("making a pipe")?;
                let script = format!("{FROM_PIPE}\n{script}");
                let cmd = helper.clone().mount(&folder.mounted, "/pipe")?.cmd(&script, args);
                let (theirs, ours) = io::pipe().context("making a pipe")?;
                let running = cmd.start(Ends { stdin: Some(theirs.into()), stdout: None })?;
                let end = folder.open_for_reader(&running)?;
                PipeEnd::new(ours)?.write_all(b"\n").context("telling the helper to read")?;
                Ok(Self { end: Some(end), running, _folder: Some(folder.outer) })
            }
            Way::Client => {
                let (theirs, end) = io::pipe().context("making a pipe")?;
                let ends = Ends { stdin: Some(theirs.into()), stdout: None };
                let running = helper.cmd(script, args).start(ends)?;
                Ok(Self { end: Some(PipeEnd::new(end)?), running, _folder: None })
            }
        }
    }

    /// Says that this was all, and waits for the helper's end.
    ///
    /// # Errors
    /// When the helper failed or was stopped.
    pub fn finish(mut self) -> Result<Output> {
        drop(self.end.take());
        self.running.finish()
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.end {
            Some(end) => end.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A named pipe that no other user of the host can reach, though every user in the container can.
struct Fifo {
    outer: TempDir,
    mounted: PathBuf,
}

#[expect(clippy::disallowed_methods, reason = "a pipe, in a folder that nobody else may enter")]
impl Fifo {
    fn new(scratch: &Path) -> io::Result<Self> {
        // Made with mode 0700.
        let outer = tempfile::Builder::new().prefix(PREFIX).tempdir_in(scratch)?;
        let mounted = outer.path().join("p");
        fs::create_dir(&mounted)?;
        fs::set_permissions(&mounted, fs::Permissions::from_mode(0o755))?;
        let pipe = mounted.join("data");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o666),
            0,
        )?;
        fs::set_permissions(&pipe, fs::Permissions::from_mode(0o666))?;
        Ok(Self { outer, mounted })
    }

    /// Without waiting for the other end.
    fn open(&self, flags: OFlags) -> io::Result<PipeEnd> {
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let end = rustix::fs::open(self.mounted.join("data"), flags, Mode::empty())?;
        // Less than asked for is slower, not wrong.
        let _ = rustix::pipe::fcntl_setpipe_size(&end, CAPACITY);
        PipeEnd::new(end)
    }

    /// To write, once `helper` has opened it.
    fn open_for_reader(&self, helper: &Running) -> Result<PipeEnd> {
        loop {
            match self.open(OFlags::WRONLY) {
                Ok(end) => return Ok(end),
                Err(error) if no_reader_yet(&error) => {}
                Err(error) => return Err(error).context("opening the pipe"),
            }
            check_interrupted()?;
            if helper.has_ended()? {
                helper.finish()?;
                anyhow::bail!("the helper has ended without reading");
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn no_reader_yet(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

/// Removes the pipes that a killed run has left in `scratch`.
///
/// # Errors
/// When the folder cannot be read or changed.
pub fn remove_leftovers(scratch: &Path) -> Result<()> {
    for entry in fs::read_dir(scratch).with_context(|| format!("reading {}", scratch.display()))? {
        let path = entry.with_context(|| format!("reading {}", scratch.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PREFIX) && path.is_dir() {
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}
