//! Objects: a stream is looked through, compressed, encrypted where wanted, hashed and written in
//! one pass, in memory that does not grow with it; and back.

mod back;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};
use zstd::zstd_safe::CParameter;

pub use self::back::{Contents, read};
use super::set::{Content, ObjectRecord, PRIVATE};
use crate::host::digest::hex;
use crate::host::files::{Partial, make_folder, open};
use crate::names::{ObjectPath, ServiceName};
use crate::process::{Cmd, check_interrupted, find};
use crate::process::{Ends, PipeEnd};
use crate::report::finding::Problem;

/// Bytes moved at once.
const CHUNK: usize = 1 << 20;
/// Bytes that one compressing thread works on at a time: bounds memory.
const JOB: u32 = 2 << 20;
/// Compressing threads at most, for the same reason.
const MOST_THREADS: usize = 8;

/// How objects are written.
#[derive(Debug, Clone)]
pub struct Format {
    /// Of zstd.
    pub level: i32,
    /// Public keys for `age`; none for no encryption.
    pub recipients: Vec<String>,
}

impl Format {
    /// What an object's name ends in after `.tar` or nothing.
    pub fn extension(&self) -> &'static str {
        if self.recipients.is_empty() { ".zst" } else { ".zst.age" }
    }

    fn encrypt(&self) -> Option<Cmd> {
        if self.recipients.is_empty() {
            return None;
        }
        let keys = self.recipients.iter().flat_map(|key| ["--recipient", key]);
        Some(Cmd::new("age").arg("--encrypt").args(keys))
    }
}

/// What an object is going to be.
#[derive(Debug)]
pub struct Object {
    /// The service, or `configuration`.
    pub service: ServiceName,
    /// What it holds.
    pub content: Content,
    /// Its path in the backup folder.
    pub path: ObjectPath,
    /// Says of what it is a copy, where that never changes.
    pub key: Option<String>,
}

/// An object that is written whole, but does not count yet.
#[derive(Debug)]
pub struct Pending {
    file: Partial,
    sha256: String,
    bytes: u64,
    content_bytes: u64,
    seconds: f64,
}

impl Pending {
    /// Writes what `source` gives to a file beside `path`. `progress` gets the bytes read so far.
    ///
    /// # Errors
    /// When reading or writing fails, the user interrupts.
    pub fn write(
        mut source: &mut dyn Read,
        path: &Path,
        format: &Format,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self> {
        let started = Instant::now();
        let folder = path.parent().context("an object needs a folder")?;
        make_folder(folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
        let file = Partial::beside(path, PRIVATE, None)
            .with_context(|| format!("making {}", path.display()))?;
        let sink = Sink { file: file.file(), hasher: Sha256::new(), bytes: 0 };
        let (sink, content_bytes) =
            fill(&mut source, sink, format, progress).map_err(|error| explain(error, path))?;
        let Sink { hasher, bytes, .. } = sink;
        file.file().sync_all().map_err(|error| explain(error.into(), path))?;
        let sha256 = hex(&hasher.finalize());
        let seconds = started.elapsed().as_secs_f64();
        Ok(Self { file, sha256, bytes, content_bytes, seconds })
    }

    /// Gives it its name. Nobody else has it: it holds the time and the project.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn commit(self, object: Object) -> Result<ObjectRecord> {
        let Object { service, content, path, key } = object;
        let Self { file, sha256, bytes, content_bytes, seconds } = self;
        file.name().with_context(|| format!("naming {path}"))?;
        let sha256 = sha256.try_into()?;
        Ok(ObjectRecord { service, content, path, sha256, bytes, content_bytes, seconds, key })
    }
}

fn fill<'a>(
    source: &mut impl Read,
    sink: Sink<'a>,
    format: &Format,
    progress: &mut dyn FnMut(u64),
) -> Result<(Sink<'a>, u64)> {
    let Some(encrypt) = format.encrypt() else {
        return compress(source, sink, format.level, progress);
    };
    let (their_stdin, ours) = io::pipe().context("making a pipe")?;
    let (back, their_stdout) = io::pipe().context("making a pipe")?;
    let ends = Ends { stdin: Some(their_stdin.into()), stdout: Some(their_stdout.into()) };
    let running = encrypt.start(ends)?;
    let (ours, mut back) = (PipeEnd::new(ours)?, PipeEnd::new(back)?);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || -> Result<Sink<'a>> {
            let mut sink = sink;
            copy(&mut back, &mut |bytes| Ok(sink.write_all(bytes)?))?;
            Ok(sink)
        });
        let compressed = compress(source, ours, format.level, progress);
        let content_bytes = compressed.map(|(ours, bytes)| {
            drop(ours);
            bytes
        });
        let written = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        running.finish()?;
        Ok((written?, content_bytes?))
    })
}

fn compress<W: Write>(
    source: &mut impl Read,
    sink: W,
    level: i32,
    progress: &mut dyn FnMut(u64),
) -> Result<(W, u64)> {
    let mut encoder = zstd::Encoder::new(sink, level)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    encoder.include_checksum(true)?;
    encoder.multithread(u32::try_from(threads)?)?;
    encoder.set_parameter(CParameter::JobSize(JOB))?;
    let mut total = 0;
    copy(source, &mut |bytes| {
        encoder.write_all(bytes)?;
        total += bytes.len() as u64;
        progress(total);
        Ok(())
    })?;
    Ok((encoder.finish()?, total))
}

/// Hands over what `source` gives, piece by piece.
///
/// # Errors
/// When reading or `take` fails, or the user interrupts.
pub fn copy(source: &mut dyn Read, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        check_interrupted()?;
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => take(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                check_interrupted()?;
                return Err(error.into());
            }
        }
    }
}

/// Hashes and counts what goes into the file.
struct Sink<'a> {
    file: &'a File,
    hasher: Sha256,
    bytes: u64,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// There is no room for an object.
pub const DISK_FULL: &str = "backup.disk-full";

fn explain(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let kind = error.chain().find_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    match kind {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Problem::failed(
            DISK_FULL,
            format!(
                "the disk is full: {} was not written, and nothing else has changed",
                path.display()
            ),
        )
        .mend(super::free_space::on_the_backup_disk())
        .into(),
        _ => error.context(format!("writing {}", path.display())),
    }
}

/// How an object is read back.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The file with the private key, where objects are encrypted.
    pub identity: Option<std::path::PathBuf>,
}

impl Keys {
    /// Fails when `objects` cannot be opened with these.
    ///
    /// # Errors
    /// A problem: no key was given, or the `age` program is missing.
    pub fn fit<'a>(&self, objects: impl IntoIterator<Item = &'a ObjectRecord>) -> Result<()> {
        let Some(object) = objects.into_iter().find(|object| object.path.is_encrypted()) else {
            return Ok(());
        };
        require_age()?;
        if self.identity.is_some() { Ok(()) } else { Err(no_key(object).into()) }
    }
}

fn no_key(object: &ObjectRecord) -> Problem {
    Problem::usage("backup.encrypted", format!("{} is encrypted", object.path))
        .mend("give the file with the private key: --identity FILE")
}

/// Fails when the program that encrypts is missing.
///
/// # Errors
/// A prerequisite problem.
pub fn require_age() -> Result<()> {
    find("age").map(drop).map_err(|error| {
        Problem::prerequisite("backup.age", error.to_string())
            .mend("install it (age-encryption.org); on Debian and Ubuntu: apt-get install age")
            .into()
    })
}

/// The SHA-256 and size of the file at `path`. `progress` gets the bytes of each piece.
///
/// # Errors
/// When it cannot be read, or the user interrupts.
pub fn digest(path: &Path, progress: &dyn Fn(u64)) -> Result<(String, u64)> {
    let reading = || format!("reading {}", path.display());
    let mut file = open(path).with_context(reading)?;
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    copy(&mut file, &mut |chunk| {
        hasher.update(chunk);
        bytes += chunk.len() as u64;
        progress(chunk.len() as u64);
        Ok(())
    })
    .with_context(reading)?;
    Ok((hex(&hasher.finalize()), bytes))
}
