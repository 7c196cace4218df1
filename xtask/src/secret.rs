//! Values that must not be shown, and the mask that keeps them out of every line printed.

use std::fmt;
use std::sync::{Mutex, PoisonError};

static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Too short to be told from an ordinary word, so masking it would garble output.
const SHORTEST_MASKED: usize = 6;

/// A password. Formatting it prints `***`; [`Secret::reveal`] is the only way to the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value` and has [`mask`] hide it from now on.
    pub fn new(value: impl Into<String>) -> Self {
        let value = value.into();
        if value.len() >= SHORTEST_MASKED {
            let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            if !known.contains(&value) {
                known.push(value.clone());
                // A secret that contains another must be replaced first.
                known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
            }
        }
        Self(value)
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// 32 characters of `[A-Za-z0-9]` from the system's generator: 190 bits, in an alphabet
    /// that every `.env` parser, URL and shell reads alike.
    ///
    /// # Errors
    /// When the system's generator fails.
    pub fn generate() -> anyhow::Result<Self> {
        const ALPHABET: &[u8; 62] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut value = String::with_capacity(32);
        let mut bytes = [0; 64];
        while value.len() < 32 {
            getrandom::fill(&mut bytes).map_err(|error| {
                anyhow::anyhow!("reading the system's random generator: {error}")
            })?;
            // 248 = 4 * 62: larger bytes would favour the first letters.
            for byte in bytes.into_iter().filter(|byte| *byte < 248) {
                if value.len() < 32 {
                    value.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
                }
            }
        }
        Ok(Self::new(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `text` with every secret known so far replaced by `***`.
pub fn mask(text: &str) -> String {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), "***") } else { text }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_secret_has_32_letters_and_digits() {
        let secret = Secret::generate().unwrap();
        assert_eq!(secret.reveal().len(), 32);
        assert!(secret.reveal().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(secret, Secret::generate().unwrap());
    }

    #[test]
    fn the_longer_of_two_nested_secrets_is_masked_whole() {
        let inner = Secret::new("nested-inner");
        let outer = Secret::new(format!("{}-outer", inner.reveal()));
        assert_eq!(mask(&format!("a {} b {}", outer.reveal(), inner.reveal())), "a *** b ***");
        assert_eq!(format!("{outer} {outer:?}"), "*** ***");
    }
}
