//! URLs: taken apart and decoded here and nowhere else.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::secret::Secret;

/// Everything but the unreserved characters (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes everything that is reserved.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The reverse of [`encode`]; what is no escape stays.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The pieces of `scheme://account@host:port/path`, as they stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pieces<'a> {
    /// Such as `http`.
    pub scheme: &'a str,
    /// `user` or `user:password`; empty where there is none.
    pub account: &'a str,
    /// A name, an address, or `[address]`.
    pub host: &'a str,
    /// Where one is stated.
    pub port: Option<&'a str>,
    /// With its leading slash, its query and its fragment; or empty.
    pub path: &'a str,
}

impl<'a> Pieces<'a> {
    /// `None` where `text` has no scheme.
    pub fn of(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (account, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (host, port) = match address.rsplit_once(':') {
            // Not a colon within the brackets of an IPv6 address.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (address, None),
        };
        Some(Self { scheme, account, host, port, path })
    }
}

/// The URL of an endpoint. Formatting masks the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `postgresql`, `redis`, `http`, `smtp`.
    pub scheme: String,
    /// Decoded; empty where there is none.
    pub user: String,
    /// Decoded.
    pub password: Option<Secret>,
    /// A name, an address, or `[address]`.
    pub host: String,
    /// TCP port.
    pub port: u16,
    path: String,
}

impl Url {
    /// What stands behind host and port, encoded as an HTTP request wants it.
    pub fn encoded_path(&self) -> &str {
        &self.path
    }

    /// The database that the path names, decoded.
    pub fn database(&self) -> String {
        decode(self.path.strip_prefix('/').unwrap_or(&self.path))
    }

    /// The URL with its password in the clear.
    pub fn reveal(&self) -> String {
        self.format(self.password.as_ref().map(|password| encode(password.reveal())).as_deref())
    }

    fn format(&self, password: Option<&str>) -> String {
        let Self { scheme, user, host, port, path, .. } = self;
        let account = match password {
            Some(password) => format!("{}:{password}@", encode(user)),
            None if user.is_empty() => String::new(),
            None => format!("{}@", encode(user)),
        };
        format!("{scheme}://{account}{host}:{port}{path}")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(self.password.as_ref().map(|_| "***")))
    }
}

impl FromStr for Url {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let no_url =
            || format!("`{}` is not a URL such as http://host:80/", crate::secret::mask(text));
        let pieces = Pieces::of(text).with_context(no_url)?;
        let port = pieces.port.with_context(no_url)?;
        let port = port.parse().ok().with_context(|| format!("`{port}` is not a TCP port"))?;
        let (user, password) = match pieces.account.split_once(':') {
            Some((user, password)) => (user, Some(Secret::new(decode(password)))),
            None => (pieces.account, None),
        };
        Ok(Self {
            scheme: pieces.scheme.to_owned(),
            user: decode(user),
            password,
            host: pieces.host.to_owned(),
            port,
            path: pieces.path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garble;

    /// Every printable character of ASCII, what looks like an escape, and what is not ASCII.
    fn words() -> Vec<String> {
        let mut words: Vec<_> = (' '..='~').map(|c| format!("a{c}b")).collect();
        words.extend((' '..='~').map(String::from));
        words.extend(
            ["%41", "%+5", "%é", "%", "100%", "/", "//a//", "é€𝄞", "a b"].map(str::to_owned),
        );
        words.push((' '..='~').collect());
        words
    }

    #[track_caller]
    fn comes_out_as_it_went_in(word: &str) {
        let encoded = encode(word);
        let text = format!("postgresql://{encoded}:{encoded}@127.0.0.1:5432/{encoded}");
        let url: Url = text.parse().unwrap();
        let password = url.password.as_ref().unwrap().reveal();
        assert_eq!((url.user.as_str(), password, &*url.database()), (word, word, word), "{text}");
        assert_eq!((url.host.as_str(), url.port), ("127.0.0.1", 5432), "{text}");
        assert_eq!(url.reveal(), text);
        assert_eq!(url.encoded_path(), format!("/{encoded}"));
    }

    #[test]
    fn any_user_password_and_database_comes_out_as_it_went_in() {
        words().iter().for_each(|word| comes_out_as_it_went_in(word));
        garble::text(|word| {
            if !word.is_empty() {
                comes_out_as_it_went_in(word);
            }
        });
    }

    #[test]
    fn a_password_is_masked() {
        let url: Url = "postgresql://app:p%40ss%2Fword@127.0.0.1:5432/db".parse().unwrap();
        assert_eq!(url.to_string(), "postgresql://app:***@127.0.0.1:5432/db");
        assert!(!format!("{url:?}").contains("p@ss"), "{url:?}");
    }

    #[test]
    fn pieces_are_told_apart() {
        for (text, account, host, port, path) in [
            ("http://h", "", "h", None, ""),
            ("http://h:80?q=a:b@c/d", "", "h", Some("80"), "?q=a:b@c/d"),
            ("http://u@[::1]/x", "u", "[::1]", None, "/x"),
            ("http://u:p@[::1]:80/x", "u:p", "[::1]", Some("80"), "/x"),
            ("http://u:a@b@h:1#f", "u:a@b", "h", Some("1"), "#f"),
        ] {
            let expected = Pieces { scheme: "http", account, host, port, path };
            assert_eq!(Pieces::of(text), Some(expected), "{text}");
        }
        assert_eq!(Pieces::of("h:80"), None);
    }
}
