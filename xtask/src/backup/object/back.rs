//! Reading an object back: what is handed over is bounded by its record, and an archive's members
//! are those that were understood.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest, Sha256};

use super::{CHUNK, Keys, copy, no_key};
use crate::backup::set::{Content, ObjectRecord};
use crate::backup::tar::Archive;
use crate::host::digest::hex;
use crate::host::files::open;
use crate::process::Cmd;
use crate::process::{Ends, PipeEnd};

/// What an object holds, as it is read back.
pub enum Contents<'a> {
    /// An archive's members.
    Archive(Archive<&'a mut dyn Read>),
    /// A dump's bytes.
    Dump(&'a mut dyn Read),
}

impl Read for Contents<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Archive(archive) => archive.read(buffer),
            Self::Dump(dump) => dump.read(buffer),
        }
    }
}

/// Reads the object back: hands its contents to `take`, and in the end says whether the file was
/// what `record` says, be it read to its end or not. No more than the record's bytes are handed over.
///
/// # Errors
/// When the file differs from its record, an archive holds what may not be, or `take` fails.
pub fn read(
    folder: &Path,
    record: &ObjectRecord,
    keys: &Keys,
    take: &mut dyn FnMut(&mut Contents) -> Result<()>,
) -> Result<()> {
    let path = folder.join(&record.path);
    let file = open(&path).with_context(|| format!("opening {}", path.display()))?;
    let mut hashed = Hashed { file, hasher: Sha256::new() };
    let mut contents = |source: &mut dyn Read| contents(source, record, take);
    let outcome = if record.path.is_encrypted() {
        decrypted(&mut hashed, record, keys, &mut contents)
    } else {
        contents(&mut BufReader::with_capacity(CHUNK, &mut hashed))
    };
    outcome.with_context(|| format!("reading {}", path.display()))?;
    copy(&mut hashed, &mut |_| Ok(())).with_context(|| format!("reading {}", path.display()))?;
    ensure!(
        record.sha256 == *hex(&hashed.hasher.finalize()),
        "{} is not what its manifest says: another SHA-256",
        path.display()
    );
    Ok(())
}

fn contents(
    source: &mut dyn Read,
    record: &ObjectRecord,
    take: &mut dyn FnMut(&mut Contents) -> Result<()>,
) -> Result<()> {
    let source = zstd::Decoder::new(source)?;
    let mut source = Measured { source, left: record.content_bytes };
    let mut contents = match record.content {
        Content::Dump => Contents::Dump(&mut source),
        // Servers are strict with their data; a stack's own files are read by other users as well.
        Content::Data => Contents::Archive(Archive::new(&mut source, 0o700)),
        Content::Configuration => Contents::Archive(Archive::new(&mut source, 0o755)),
    };
    take(&mut contents)?;
    copy(&mut contents, &mut |_| Ok(()))?;
    match contents {
        Contents::Archive(mut archive) => {
            ensure!(!archive.go_on()?, "the archive goes on after its end");
        }
        Contents::Dump(_) => {}
    }
    Ok(())
}

/// Gives exactly so many bytes, or fails.
struct Measured<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            None => Err(io::Error::other("it holds more than its manifest says")),
            Some(left) if read == 0 && left > 0 && !buffer.is_empty() => {
                Err(io::Error::other("it holds less than its manifest says"))
            }
            Some(left) => {
                self.left = left;
                Ok(read)
            }
        }
    }
}

fn decrypted(
    source: &mut (impl Read + Send),
    record: &ObjectRecord,
    keys: &Keys,
    contents: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
) -> Result<()> {
    let Some(identity) = &keys.identity else {
        return Err(no_key(record).into());
    };
    let (their_stdin, ours) = io::pipe().context("making a pipe")?;
    let (back, their_stdout) = io::pipe().context("making a pipe")?;
    let ends = Ends { stdin: Some(their_stdin.into()), stdout: Some(their_stdout.into()) };
    let running = Cmd::new("age").args(["--decrypt", "--identity"]).arg(identity).start(ends)?;
    let (mut ours, mut back) = (PipeEnd::new(ours)?, PipeEnd::new(back)?);
    std::thread::scope(|scope| {
        let feeder = scope.spawn(move || copy(source, &mut |bytes| Ok(ours.write_all(bytes)?)));
        let outcome = contents(&mut back);
        drop(back);
        let fed = feeder.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        // Its own words first: with the wrong key everything else fails as well.
        running.finish()?;
        outcome?;
        fed
    })
}

struct Hashed {
    file: File,
    hasher: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::example;

    /// What is read of the object in `folder`, after `change`.
    fn read_after(change: impl Fn(&mut ObjectRecord, &mut Vec<u8>)) -> Result<Vec<u8>> {
        let (folder, _, _place) = example::folder_with_block();
        let mut record = folder.sets()?.0.remove(0).manifest.objects.remove(0);
        let path = folder.path().join(&record.path);
        let mut file = std::fs::read(&path)?;
        change(&mut record, &mut file);
        std::fs::write(&path, file)?;
        let mut bytes = Vec::new();
        read(folder.path(), &record, &Keys::default(), &mut |contents| {
            contents.read_to_end(&mut bytes).map(drop).map_err(Into::into)
        })?;
        Ok(bytes)
    }

    #[test]
    fn an_object_is_read_back_as_it_was_written() {
        assert_eq!(read_after(|_, _| {}).unwrap(), b"block");
    }

    #[test]
    fn an_object_that_is_not_what_its_record_says_is_refused() {
        let error = |change: &dyn Fn(&mut ObjectRecord, &mut Vec<u8>)| {
            format!("{:#}", read_after(change).unwrap_err())
        };
        let other = error(&|record, _| record.sha256 = "0".repeat(64).try_into().unwrap());
        assert!(other.contains("another SHA-256"), "{other}");
        let longer = error(&|_, file| file.extend_from_slice(b"more"));
        assert!(longer.contains("reading"), "{longer}");
        let cut = error(&|_, file| file.truncate(file.len() - 2));
        assert!(cut.contains("reading"), "{cut}");
        let more = error(&|record, _| record.content_bytes = 4);
        assert!(more.contains("it holds more than its manifest says"), "{more}");
        let less = error(&|record, _| record.content_bytes = 6);
        assert!(less.contains("it holds less than its manifest says"), "{less}");
    }

    #[test]
    fn what_was_written_counts_only_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("objects/one.zst");
        let format = super::super::Format { level: 1, recipients: Vec::new() };
        let write = || super::super::Pending::write(&mut &b"one"[..], &path, &format, &mut |_| {});
        let pending = write().unwrap();
        assert!(!path.exists());
        drop(pending);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }
}
