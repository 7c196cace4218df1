//! A member of an archive: read out of the headers that GNU tar, busybox and `pg_basebackup` write,
//! and written as one header that every `tar` reads alike.
//!
//! ustar, GNU long names, pax records (POSIX.1-2017, pax; GNU tar manual, "Basic Tar Format").

use anyhow::{Context as _, Result, bail, ensure};

/// What an archive consists of.
pub const BLOCK: usize = 512;

/// The first second that eleven octal digits cannot say: in the year 2242.
const LATEST: u64 = 1 << 33;
/// Longest name that a header has room for.
const SHORT: usize = 99;

/// A name below the directory that is unpacked into: no part of it leads up, is empty or holds a
/// NUL. Nothing is left of it where that directory itself is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberPath(Vec<u8>);

impl MemberPath {
    fn parse(name: &[u8]) -> Result<Self> {
        let outside = || format!("the archive holds `{}`, a name that leads outside", lossy(name));
        ensure!(!name.is_empty() && !name.contains(&0), "the archive holds a name that is none");
        let parts: Vec<_> = name
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
            .collect();
        ensure!(name[0] != b'/' && parts.iter().all(|part| *part != b".."), outside());
        Ok(Self(parts.join(&b'/')))
    }

    /// Its bytes, the parts with one `/` between them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file with so many bytes.
    File(u64),
    /// A directory.
    Directory,
}

/// A file or directory of an archive: all that is believed of its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where it goes.
    pub path: MemberPath,
    /// What it is.
    pub kind: Kind,
    /// Permissions, without the bits that give somebody another's rights.
    pub mode: u32,
    uid: u32,
    gid: u32,
    /// In seconds since 1970.
    changed: u64,
}

/// What stands before a header and counts instead of what is in it.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// What a header is.
#[derive(Debug)]
pub(super) enum Header {
    /// A member's, whose contents follow.
    Member(Member),
    /// Before one: a name of so many bytes follows.
    LongName(u64),
    /// Before one: records of so many bytes follow.
    Records(u64),
}

impl Overrides {
    /// The name of a GNU header: up to its NUL, behind which nothing may stand.
    ///
    /// # Errors
    /// When something does, or the member has a name already.
    pub(super) fn long_name(&mut self, text: &[u8]) -> Result<()> {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        ensure!(is_zero(rest), "a long name of the archive goes on after its end");
        self.name(name)
    }

    fn name(&mut self, name: &[u8]) -> Result<()> {
        ensure!(self.name.is_none(), "the archive gives a member two names");
        self.name = Some(name.to_vec());
        Ok(())
    }

    /// pax records of `LENGTH KEY=VALUE\n`.
    ///
    /// # Errors
    /// When they are damaged or say what none of ours would.
    pub(super) fn records(&mut self, text: &[u8]) -> Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').unwrap_or(0);
            let length = lossy(&rest[..space]).parse::<usize>().unwrap_or(0);
            ensure!(
                length > space + 1 && length <= rest.len() && rest[length - 1] == b'\n',
                "a pax record of the archive is damaged"
            );
            let record = &rest[space + 1..length - 1];
            rest = &rest[length..];
            let equals = record.iter().position(|byte| *byte == b'=').unwrap_or(record.len());
            let value = record.get(equals + 1..).unwrap_or_default();
            match &record[..equals] {
                b"path" => self.name(value)?,
                b"size" => self.size = Some(lossy(value).parse().context("a pax size")?),
                b"mtime" | b"atime" | b"ctime" | b"uid" | b"gid" | b"uname" | b"gname" => {}
                key => bail!("the archive holds a pax record `{}`", lossy(key)),
            }
        }
        Ok(())
    }

    pub(super) fn is_none(&self) -> bool {
        self.name.is_none() && self.size.is_none()
    }
}

impl Header {
    /// Reads a header after `overrides`, which it uses up if it is a member's.
    ///
    /// # Errors
    /// When it is damaged, or neither a file's nor a directory's.
    pub(super) fn parse(block: &[u8; BLOCK], overrides: &mut Overrides) -> Result<Self> {
        ensure!(checksum(block) == octal(&block[148..156])?, "a header of the archive is damaged");
        let size = number(&block[124..136])?;
        let kind = block[156];
        match kind {
            b'L' => return Ok(Self::LongName(size)),
            b'x' => return Ok(Self::Records(size)),
            b'0' | 0 | b'5' | b'7' => {}
            _ => bail!(
                "the archive holds `{}`, which is neither a file nor a directory (type `{}`)",
                lossy(&own_name(block)),
                char::from(kind).escape_default()
            ),
        }
        let Overrides { name, size: other } = std::mem::take(overrides);
        let (name, size) = (name.unwrap_or_else(|| own_name(block)), other.unwrap_or(size));
        let path = MemberPath::parse(&name)?;
        let kind = if kind == b'5' {
            ensure!(size == 0, "the archive holds a directory with contents");
            Kind::Directory
        } else {
            ensure!(
                !path.0.is_empty() && !name.ends_with(b"/"),
                "the archive holds `{}`, a file with the name of a directory",
                lossy(&name)
            );
            Kind::File(size)
        };
        Ok(Self::Member(Member {
            path,
            kind,
            mode: u32::try_from(number(&block[100..108])? & 0o777)?,
            uid: u32::try_from(number(&block[108..116])?).context("an owner")?,
            gid: u32::try_from(number(&block[116..124])?).context("an owner's group")?,
            // What is before 1970, or so late that no program can say it, is of no use to anybody.
            changed: number(&block[136..148]).ok().filter(|at| *at < LATEST).unwrap_or_default(),
        }))
    }
}

impl Member {
    /// The headers that say this and nothing else, with the permissions that are in `allowed`.
    pub(super) fn headers(&self, allowed: u32) -> Vec<u8> {
        let name = match self.kind {
            Kind::Directory if self.path.0.is_empty() => b"./".to_vec(),
            Kind::Directory => [&self.path.0[..], b"/"].concat(),
            Kind::File(_) => self.path.0.clone(),
        };
        let mut headers = Vec::with_capacity(BLOCK);
        if name.len() > SHORT {
            let mut long = Self { kind: Kind::File(name.len() as u64 + 1), ..self.clone() };
            (long.mode, long.uid, long.gid, long.changed) = (0, 0, 0, 0);
            headers.extend(long.header(b"././@LongLink", b'L', 0));
            headers.extend(&name);
            headers.push(0);
            headers.resize(headers.len().next_multiple_of(BLOCK), 0);
        }
        let kind = if self.kind == Kind::Directory { b'5' } else { b'0' };
        headers.extend(self.header(&name[..name.len().min(SHORT)], kind, allowed));
        headers
    }

    fn header(&self, name: &[u8], kind: u8, allowed: u32) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..name.len()].copy_from_slice(name);
        put(&mut block[100..108], u64::from(self.mode & allowed));
        put(&mut block[108..116], self.uid.into());
        put(&mut block[116..124], self.gid.into());
        put(&mut block[124..136], if let Kind::File(bytes) = self.kind { bytes } else { 0 });
        put(&mut block[136..148], self.changed);
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar  \0");
        let sum = format!("{:06o}\0 ", checksum(&block));
        block[148..156].copy_from_slice(sum.as_bytes());
        block
    }
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn own_name(block: &[u8; BLOCK]) -> Vec<u8> {
    let until_nul = |field: &[u8]| {
        field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())].to_vec()
    };
    let name = until_nul(&block[..100]);
    // Only POSIX's magic has a prefix; GNU's keeps other things there.
    let prefix =
        if block[257..263] == *b"ustar\0" { until_nul(&block[345..500]) } else { Vec::new() };
    if prefix.is_empty() { name } else { [prefix.as_slice(), b"/", &name].concat() }
}

/// The sum of all bytes, those of its own field taken for spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    sum(&block[..148]) + 8 * 32 + sum(&block[156..])
}

/// Octal digits, or base 256 where the first bit is set.
fn number(field: &[u8]) -> Result<u64> {
    if field[0] & 0x80 == 0 {
        return octal(field);
    }
    let mut value = u64::from(field[0] & 0x7f);
    for byte in &field[1..] {
        ensure!(value >> 55 == 0, "the archive holds a number that is too large");
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

/// The reverse of [`number`].
fn put(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}");
    if text.len() == digits {
        field[..digits].copy_from_slice(text.as_bytes());
        return;
    }
    for (byte, of_value) in field.iter_mut().rev().zip(value.to_le_bytes()) {
        *byte = of_value;
    }
    field[0] |= 0x80;
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_any_size_comes_back() {
        for value in [0, 1, 0o7777777, 0o10000000, 1 << 33, (1 << 33) - 1, 1 << 50] {
            let mut field = [0; 12];
            put(&mut field, value);
            assert_eq!(number(&field).unwrap(), value);
        }
        assert!(number(&[0xff; 12]).is_err(), "negative");
    }

    #[test]
    fn a_path_cannot_lead_outside() {
        for (name, path) in [
            ("base/1/2", Some("base/1/2")),
            (".//a//./b/", Some("a/b")),
            ("./", Some("")),
            ("a..b", Some("a..b")),
            ("/etc", None),
            ("a/../b", None),
            ("..", None),
            ("", None),
            ("a\0b", None),
        ] {
            let parsed = MemberPath::parse(name.as_bytes()).ok();
            assert_eq!(parsed.as_ref().map(MemberPath::bytes), path.map(str::as_bytes), "{name}");
        }
    }
}
