//! Signatures in minisign's format, so that the stock program verifies by hand what we sign.
//!
//! <https://jedisct1.github.io/minisign/#signature-format>

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_compact::{KeyPair, Seed};
use sha2::{Digest, Sha256};

use crate::names::checked;
use crate::secret::Secret;

/// Ed25519 over the whole text, in keys and signatures.
const ALGORITHM: &[u8; 2] = b"Ed";

checked! {
    /// A public key as minisign takes it after `-P`.
    pub struct PublicKey: "a public key of minisign (RW…)", |text| {
        minisign_verify::PublicKey::from_base64(text).is_ok()
    }
}

impl PublicKey {
    /// Whether `signature`, the text of a `.minisig` file, is one of `bytes` by this key.
    pub fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        let key = minisign_verify::PublicKey::from_base64(self);
        let signature = minisign_verify::Signature::decode(signature);
        matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(bytes, &signature, true).is_ok())
    }

    /// What a file for `minisign -p` holds.
    pub fn file(&self) -> String {
        format!("untrusted comment: backups of the case interview platform\n{self}\n")
    }
}

/// A key that signs.
#[derive(Debug)]
pub struct SigningKey {
    seed: Secret,
    pair: KeyPair,
}

impl SigningKey {
    /// A new one.
    ///
    /// # Errors
    /// When the system's random generator fails.
    pub fn random() -> Result<Self> {
        let mut seed = [0; Seed::BYTES];
        getrandom::fill(&mut seed).context("making a key that signs")?;
        Self::parse(&BASE64.encode(seed))
    }

    /// The one that [`Self::reveal`] gave.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let seed = Secret::new(text.trim());
        let bytes = BASE64.decode(seed.reveal()).ok().context("it is not base64")?;
        let bytes = Seed::from_slice(&bytes).ok().context("it is not 32 bytes long")?;
        Ok(Self { seed, pair: KeyPair::from_seed(bytes) })
    }

    /// The private key as text.
    pub fn reveal(&self) -> &str {
        self.seed.reveal()
    }

    /// What verifies its signatures.
    ///
    /// # Errors
    /// Never, unless minisign's format has changed.
    pub fn public(&self) -> Result<PublicKey> {
        BASE64.encode([&ALGORITHM[..], &self.id(), &self.pair.pk[..]].concat()).try_into()
    }

    /// Tells keys apart; minisign has a random one.
    fn id(&self) -> [u8; 8] {
        let mut id = [0; 8];
        id.copy_from_slice(&Sha256::digest(&self.pair.pk[..])[..8]);
        id
    }

    /// What the file `NAME.minisig` holds; `comment` is one line that is signed too.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let signature = self.pair.sk.sign(bytes, None);
        let whole = self.pair.sk.sign([&signature[..], comment.as_bytes()].concat(), None);
        format!(
            "untrusted comment: signature of a backup set\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64.encode([&ALGORITHM[..], &self.id(), &signature[..]].concat()),
            BASE64.encode(&whole[..])
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garble::garbled;

    #[test]
    fn a_signature_is_of_one_text_by_one_key() {
        let key = SigningKey::random().unwrap();
        let signature = key.sign(b"text", "file:a");
        let public = key.public().unwrap();
        assert!(public.verifies(b"text", &signature));
        assert!(SigningKey::parse(key.reveal()).unwrap().public().unwrap() == public);
        assert!(!public.verifies(b"texts", &signature));
        assert!(!public.verifies(b"text", &signature.replace("file:a", "file:b")));
        assert!(!SigningKey::random().unwrap().public().unwrap().verifies(b"text", &signature));
        assert!(!format!("{key:?}").contains(key.reveal()), "{key:?}");
    }

    #[test]
    fn nothing_but_the_signature_is_one() {
        let key = SigningKey::parse(&BASE64.encode([7; Seed::BYTES])).unwrap();
        let (whole, public) = (key.sign(b"text", "file:a"), key.public().unwrap());
        let signed = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        garbled(whole.as_bytes(), &["untrusted comment: ", "\n", "RW", "=", "é"], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let is_same = signed(&text) == signed(&whole);
            assert!(is_same || !public.verifies(b"text", &text), "{text}");
        });
        garbled(public.as_bytes(), &["R", "=", "\n", "é"], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let other = PublicKey::try_from(&*text);
            assert!(*text == *public || !other.is_ok_and(|key| key.verifies(b"text", &whole)));
        });
    }

    #[test]
    fn a_damaged_key_is_no_key() {
        for text in ["", "AAAA", "not base64!", "0123456789"] {
            assert!(SigningKey::parse(text).is_err(), "{text}");
            assert!(PublicKey::try_from(text).is_err(), "{text}");
        }
    }
}
