//! Endpoints as URLs.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};

use crate::secret::Secret;

/// `scheme://user:password@host:port/path`. Formatting masks the password.
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
    /// With its leading slash, or empty.
    pub path: String,
}

impl Url {
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
            || format!("`{}` is no URL such as http://host:80/", crate::secret::mask(text));
        let (scheme, rest) = text.split_once("://").with_context(no_url)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (account, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match account.split_once(':') {
            Some((user, password)) => (user, Some(Secret::new(decode(password)))),
            None => (account, None),
        };
        let (host, port) = address.rsplit_once(':').with_context(no_url)?;
        let port = port.parse().ok().with_context(|| format!("`{port}` is no TCP port"))?;
        Ok(Self {
            scheme: scheme.to_owned(),
            user: decode(user),
            password,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

/// Percent-encodes everything but the unreserved characters (RFC 3986, section 2.3).
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The reverse of [`encode`]; what is no escape stays.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail
            .get(..2)
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_of_any_characters_survives_and_is_masked() {
        let password = "p@ss/w:rd %41#é";
        let text = format!("postgresql://app:{}@127.0.0.1:5432/db", encode(password));
        let url: Url = text.parse().unwrap();
        assert_eq!(url.password.as_ref().unwrap().reveal(), password);
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("127.0.0.1", 5432, "/db"));
        assert_eq!(url.reveal(), text);
        assert_eq!(url.to_string(), "postgresql://app:***@127.0.0.1:5432/db");
    }
}
