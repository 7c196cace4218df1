//! Names that the server gives to databases and tables. Whoever may create one chooses it, line
//! breaks, quotes and bytes that are no UTF-8 included. So a [`Name`] is no text: it leaves here only
//! quoted for the language that takes it.

use std::fmt::{self, Write as _};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::host::digest::sha256;

/// The bytes that the server keeps, in whatever encoding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// The name with these bytes.
    ///
    /// # Errors
    /// When there are none, or a NUL is among them, which no name can have.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = bytes.into();
        ensure!(!bytes.is_empty() && !bytes.contains(&0), "a name is empty or has a NUL");
        Ok(Self(bytes))
    }

    /// The database that every server has, for questions about the whole of it.
    pub fn maintenance_database() -> Self {
        Self(b"postgres".to_vec())
    }

    /// Reads what SQL's `encode(…, 'hex')` writes.
    fn from_hex(text: &str) -> Result<Self> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        let bytes: Option<Vec<_>> = text.as_bytes().chunks(2).map(byte).collect();
        Self::new(bytes.with_context(|| format!("`{text}` is not written in hexadecimal"))?)
    }

    /// Whether it is this text.
    pub fn is(&self, text: &str) -> bool {
        self.0 == text.as_bytes()
    }

    /// What has a client of PostgreSQL connect to the database of this name, as an argument of
    /// `printf %b` in a shell: the connection string itself may have bytes that neither Docker nor
    /// a line can carry. Its last byte is a quote, so `$(…)` takes nothing off its end.
    pub fn connection(&self) -> String {
        octal(&[b"dbname=", &*conninfo_value(&self.0)].concat())
    }

    /// It as part of a file's name, which no other name shares.
    pub fn file_part(&self) -> String {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
        let plain = |byte: &u8| if fits(byte) { char::from(*byte) } else { '_' };
        let part: String = self.0.iter().map(plain).collect();
        if self.0.iter().all(fits) { part } else { format!("{part}-{}", &sha256(&self.0)[..8]) }
    }
}

/// A value of a connection string
/// (postgresql.org/docs/14/libpq-connect.html, "Keyword/Value Connection Strings").
fn conninfo_value(bytes: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in bytes {
        if b"\\'".contains(byte) {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'\'');
    quoted
}

/// What `printf %b` makes these bytes of (POSIX.1-2017, printf): one word, one line, ASCII.
fn octal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'=' | b'\'' => {
                text.push(char::from(*byte));
            }
            // A String takes everything.
            _ => write!(text, "\\0{byte:03o}").unwrap_or_default(),
        }
    }
    text
}

/// For people: what does not show, or would do something to a terminal, is escaped.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\'' | '"' => f.write_char(c)?,
                    c => write!(f, "{}", c.escape_debug())?,
                }
            }
            escape_invalid(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn escape_invalid(to: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(to, "\\x{byte:02x}"))
}

/// In a manifest: the text that it is, or where it is none, `{"escaped": "caf\\xe9"}`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Escaped { escaped: String },
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match std::str::from_utf8(&self.0) {
            Ok(text) => Written::Text(text.to_owned()),
            Err(_) => Written::Escaped { escaped: escape(&self.0) },
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match Written::deserialize(deserializer)? {
            Written::Text(text) => Some(text.into_bytes()),
            Written::Escaped { escaped } => unescape(&escaped),
        };
        let name = bytes.context("an escape is broken").and_then(Self::new);
        name.map_err(D::Error::custom)
    }
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        // A String takes everything.
        escape_invalid(&mut text, chunk.invalid()).unwrap_or_default();
    }
    text
}

/// What [`escape`] has written.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let (byte, after) = match escaped.strip_prefix('x') {
            Some(digits) => (u8::from_str_radix(digits.get(..2)?, 16).ok()?, digits.get(2..)?),
            None => (b'\\', escaped.strip_prefix('\\')?),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

/// A name that a server tells in hexadecimal.
///
/// # Errors
/// When it is something else.
pub fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    Name::from_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Names that a server tells in hexadecimal.
///
/// # Errors
/// When one is something else.
pub fn hexes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Name>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| Name::from_hex(text).map_err(D::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same ones each time: all bytes, and a generator's (xorshift).
    fn names() -> impl Iterator<Item = Name> {
        let single = (1..=255_u8).map(|byte| vec![byte]);
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let random = (0..2000).map(move |_| {
            let hostile = b"\\'\"\n\r%=$`; \t-x0\xe9\xff\xc3\xa9";
            let length = 1 + next() as usize % 63;
            let byte = |random: u64| match random % 3 {
                0 => 1 + (random >> 8) as u8 % 255,
                _ => hostile[(random >> 8) as usize % hostile.len()],
            };
            (0..length).map(|_| byte(next())).collect()
        });
        single.chain(random).map(|bytes: Vec<u8>| Name::new(bytes).unwrap())
    }

    #[test]
    fn a_manifest_gives_back_what_was_written_into_it() {
        for name in names() {
            let json = serde_json::to_string(&name).unwrap();
            assert!(!json.contains('\u{fffd}'), "{json}");
            assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), name, "{json}");
        }
        for broken in [r#""""#, r#""a\u0000""#, r#"{"escaped":"\\x"}"#, r#"{"escaped":"\\q"}"#, "1"]
        {
            assert!(serde_json::from_str::<Name>(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_shell_makes_the_connection_string_again() {
        let names: Vec<_> = names().collect();
        let words: String = names.iter().map(|name| name.connection() + "\n").collect();
        let script = r#"while IFS= read -r word; do printf '%s\0' "$(printf %b "$word")"; done"#;
        let shell = xshell::Shell::new().unwrap();
        let output = xshell::cmd!(shell, "sh -euc {script}");
        let output = output.stdin(words).quiet().output().unwrap().stdout;
        let strings: Vec<_> = output.split(|byte| *byte == 0).collect();
        assert_eq!(strings.len(), names.len() + 1);
        for (name, string) in names.iter().zip(strings) {
            assert_eq!(string, [b"dbname=", &*conninfo_value(&name.0)].concat());
        }
    }

    #[test]
    fn nothing_of_a_name_reaches_a_terminal_but_text() {
        for name in names() {
            assert!(name.to_string().chars().all(|c| !c.is_control()), "{name}");
        }
        let name = Name::new(b"it's \"a\"\n\x1b[31m caf\xe9".to_vec()).unwrap();
        assert_eq!(name.to_string(), r#"it's "a"\n\u{1b}[31m caf\xe9"#);
    }

    #[test]
    fn files_of_two_names_are_two() {
        let part = |text: &str| Name::new(text).unwrap().file_part();
        assert_eq!(part("plain_name-1"), "plain_name-1");
        assert!(part("a b").starts_with("a_b-") && part("a b") != part("a.b"));
        assert!(part("../x").starts_with("___x-"));
    }

    #[test]
    fn hexadecimal_is_read() {
        assert_eq!(Name::from_hex("636166e9").unwrap(), Name(b"caf\xe9".to_vec()));
        assert!(["", "6", "6g", "00"].iter().all(|text| Name::from_hex(text).is_err()));
    }
}
