//! Looks through a tar stream as it passes: nothing but files and directories with names that stay
//! inside, and an end. Whatever is unpacked, or called whole, has passed through here.
//!
//! The formats that GNU tar, busybox and `pg_basebackup` write: ustar, GNU long names, pax records
//! (POSIX.1-2017, pax; GNU tar manual, "Basic Tar Format").

use anyhow::{Result, bail, ensure};

/// What an archive consists of.
pub const BLOCK: usize = 512;
/// What stands at an archive's end.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// Longest name or pax record that is looked at.
const LONGEST: u64 = 64 << 10;

/// What has been seen of an archive so far.
#[derive(Debug, Default)]
pub struct Scan {
    /// Part of a block that is not yet whole.
    pending: Vec<u8>,
    /// Bytes of the current entry still to come, with padding.
    left: u64,
    /// What the current entry's bytes are for.
    purpose: Purpose,
    /// A name or size that the next header takes instead of its own.
    name: Option<Vec<u8>>,
    size: Option<u64>,
    text: Vec<u8>,
    text_len: usize,
    zero_blocks: u32,
    /// Files and directories.
    pub entries: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    #[default]
    Contents,
    LongName,
    Pax,
}

impl Scan {
    /// Looks at the next bytes.
    ///
    /// # Errors
    /// When they are no tar archive or hold an entry that nothing of ours would.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let now =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.contents(&bytes[..now])?;
                bytes = &bytes[now..];
                continue;
            }
            if self.pending.is_empty() && bytes.len() >= BLOCK {
                self.header(&bytes[..BLOCK])?;
                bytes = &bytes[BLOCK..];
                continue;
            }
            let now = (BLOCK - self.pending.len()).min(bytes.len());
            self.pending.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
            if self.pending.len() == BLOCK {
                let block = std::mem::take(&mut self.pending);
                self.header(&block)?;
            }
        }
        Ok(())
    }

    /// Looks at whole blocks up to the archive's end, and says how many bytes stand before it.
    ///
    /// # Errors
    /// As [`Scan::take`].
    pub fn members(&mut self, blocks: &[u8]) -> Result<usize> {
        let mut at = 0;
        while at < blocks.len() {
            let rest = &blocks[at..];
            if self.left == 0 && is_zero(&rest[..BLOCK.min(rest.len())]) {
                break;
            }
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            let now = if left == 0 { BLOCK } else { left }.min(rest.len());
            self.take(&rest[..now])?;
            at += now;
        }
        Ok(at)
    }

    /// The archive is over.
    ///
    /// # Errors
    /// When its end was missing.
    pub fn finish(&self) -> Result<()> {
        ensure!(
            self.left == 0 && self.pending.is_empty() && self.zero_blocks >= 2,
            "the archive is cut off: it has no end"
        );
        Ok(())
    }

    fn contents(&mut self, bytes: &[u8]) -> Result<()> {
        if self.purpose != Purpose::Contents {
            let wanted = self.text_len - self.text.len();
            self.text.extend_from_slice(&bytes[..wanted.min(bytes.len())]);
        }
        self.left -= bytes.len() as u64;
        if self.left == 0 {
            match std::mem::take(&mut self.purpose) {
                Purpose::Contents => {}
                Purpose::LongName => self.name = Some(std::mem::take(&mut self.text)),
                Purpose::Pax => self.pax()?,
            }
        }
        Ok(())
    }

    fn header(&mut self, block: &[u8]) -> Result<()> {
        if is_zero(block) {
            self.zero_blocks += 1;
            return Ok(());
        }
        ensure!(self.zero_blocks == 0, "the archive goes on after its end");
        ensure!(checksum(block) == octal(&block[148..156])?, "a header of the archive is damaged");
        let size = number(&block[124..136])?;
        let kind = block[156];
        match kind {
            b'L' => return self.expect_text(Purpose::LongName, size),
            b'x' => return self.expect_text(Purpose::Pax, size),
            b'0' | 0 | b'5' | b'7' => {}
            _ => bail!(
                "the archive holds `{}`, which is neither a file nor a directory (type `{}`)",
                lossy(&own_name(block)),
                char::from(kind)
            ),
        }
        let name = self.name.take().unwrap_or_else(|| own_name(block));
        ensure!(
            stays_inside(&name),
            "the archive holds `{}`, a name that leads outside",
            lossy(&name)
        );
        let size = self.size.take().unwrap_or(size);
        ensure!(kind != b'5' || size == 0, "the archive holds a directory with contents");
        self.entries += 1;
        self.left = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        Ok(())
    }

    fn expect_text(&mut self, purpose: Purpose, size: u64) -> Result<()> {
        ensure!((1..=LONGEST).contains(&size), "the archive holds a name of {size} bytes");
        self.purpose = purpose;
        self.text.clear();
        self.text_len = usize::try_from(size)?;
        self.left = size.div_ceil(BLOCK as u64) * BLOCK as u64;
        Ok(())
    }

    /// Records of `LENGTH KEY=VALUE\n`.
    fn pax(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').unwrap_or(0);
            let length = lossy(&rest[..space]).parse::<usize>().unwrap_or(0);
            ensure!(
                length > space + 1 && length <= rest.len(),
                "a pax record of the archive is damaged"
            );
            let record = &rest[space + 1..length - 1];
            rest = &rest[length..];
            let equals = record.iter().position(|byte| *byte == b'=').unwrap_or(record.len());
            let value = record.get(equals + 1..).unwrap_or_default();
            match &record[..equals] {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => self.size = Some(lossy(value).parse()?),
                b"mtime" | b"atime" | b"ctime" | b"uid" | b"gid" | b"uname" | b"gname" => {}
                key => bail!("the archive holds a pax record `{}`", lossy(key)),
            }
        }
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn own_name(block: &[u8]) -> Vec<u8> {
    let until_nul = |field: &[u8]| {
        field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())].to_vec()
    };
    let name = until_nul(&block[..100]);
    // Only POSIX's magic has a prefix; GNU's keeps other things there.
    let prefix =
        if block[257..263] == *b"ustar\0" { until_nul(&block[345..500]) } else { Vec::new() };
    if prefix.is_empty() { name } else { [prefix.as_slice(), b"/", &name].concat() }
}

fn stays_inside(name: &[u8]) -> bool {
    let name = name.strip_suffix(b"\0").unwrap_or(name);
    !name.is_empty()
        && name[0] != b'/'
        && !name.contains(&0)
        && name.split(|byte| *byte == b'/').all(|part| part != b"..")
}

fn checksum(block: &[u8]) -> u64 {
    let field = 148..156;
    block
        .iter()
        .enumerate()
        .map(|(at, byte)| if field.contains(&at) { 32 } else { u64::from(*byte) })
        .sum()
}

/// Octal digits, or base 256 where the first bit is set.
fn number(field: &[u8]) -> Result<u64> {
    if field[0] & 0x80 == 0 {
        return octal(field);
    }
    let mut value = u64::from(field[0] & 0x7f);
    for byte in &field[1..] {
        ensure!(value >> 55 == 0, "the archive holds an entry of impossible size");
        value = value << 8 | u64::from(*byte);
    }
    Ok(value)
}

fn octal(field: &[u8]) -> Result<u64> {
    let text = lossy(field);
    let digits = text.trim_matches(['\0', ' ']);
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8)
        .map_err(|_| anyhow::anyhow!("a number in the archive is damaged: `{digits}`"))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn scan(bytes: &[u8], chunk: usize) -> Result<u64> {
        let mut scan = Scan::default();
        for part in bytes.chunks(chunk) {
            scan.take(part)?;
        }
        scan.finish()?;
        Ok(scan.entries)
    }

    fn entry(name: &str, kind: u8) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(b"00000000000");
        block[156] = kind;
        block[257..263].copy_from_slice(b"ustar\0");
        let sum = format!("{:06o}\0 ", checksum(&block));
        block[148..156].copy_from_slice(sum.as_bytes());
        block
    }

    #[test]
    fn what_tar_writes_in_each_format_passes_in_chunks_of_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a".repeat(70)).join("b".repeat(70));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("c".repeat(70)), vec![7; 1300]).unwrap();
        for format in ["gnu", "ustar", "pax"] {
            let output = Command::new("tar")
                .args([&format!("--format={format}"), "--directory"])
                .arg(folder.path())
                .args(["--create", "--file=-", "."])
                .output()
                .unwrap();
            for chunk in [1, 511, 512, 513, 1 << 20] {
                assert_eq!(scan(&output.stdout, chunk).unwrap(), 4, "{format} by {chunk}");
            }
            let cut = &output.stdout[..2 * BLOCK];
            assert!(scan(cut, 512).is_err());
        }
    }

    #[test]
    fn an_entry_that_leads_outside_or_is_no_file_is_refused() {
        let end = vec![0; 2 * BLOCK];
        for (name, kind, fits) in [
            ("base/1/2", b'0', true),
            ("./a..b/", b'5', true),
            ("/etc/passwd", b'0', false),
            ("a/../../b", b'0', false),
            ("..", b'5', false),
            ("link", b'2', false),
            ("hard", b'1', false),
            ("disk", b'4', false),
            ("tty", b'3', false),
            ("fifo", b'6', false),
            ("sparse", b'S', false),
            ("global", b'g', false),
        ] {
            let archive = [entry(name, kind), end.clone()].concat();
            assert_eq!(scan(&archive, 512).is_ok(), fits, "{name} {kind}");
        }
        assert!(scan(&entry("a", b'0'), 512).is_err(), "no end");
        assert!(scan(&[end.clone(), entry("a", b'0')].concat(), 512).is_err(), "after the end");
        let mut damaged = entry("a", b'0');
        damaged[3] ^= 1;
        assert!(scan(&[damaged, end].concat(), 512).is_err(), "damaged");
    }

    #[test]
    fn a_long_name_is_looked_at_too() {
        let text = b"../../outside\0";
        let mut long = entry("././@LongLink", b'L');
        long[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        let sum = format!("{:06o}\0 ", checksum(&long));
        long[148..156].copy_from_slice(sum.as_bytes());
        let mut name = text.to_vec();
        name.resize(BLOCK, 0);
        let archive = [long, name, entry("fine", b'0'), vec![0; 2 * BLOCK]].concat();
        assert!(scan(&archive, 512).unwrap_err().to_string().contains("outside"));
    }
}
