//! Whose a set is, by its signature and by the keys that are believed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::host::signature::PublicKey;
use crate::names::Digest;

/// What the name of a signature has after that of its manifest, as minisign looks for it.
pub const EXTENSION: &str = ".minisig";

/// Where the signature of the manifest at `path` lies.
pub fn path(manifest: &Path) -> PathBuf {
    let mut path = manifest.as_os_str().to_owned();
    path.push(EXTENSION);
    path.into()
}

/// Whose a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Signed with the key of this DATA_DIR.
    Ours,
    /// Made here by a version that did not sign.
    BeforeSigning,
    /// Signed with a key that `signers` or `--signed-by` names.
    KnownKey,
    /// Signed with a key that nobody has named, or the signature is not of this manifest.
    UnknownKey,
    /// Not signed.
    Unsigned,
}

impl Origin {
    /// Whether it may be restored without a word.
    pub fn is_believed(self) -> bool {
        matches!(self, Self::Ours | Self::BeforeSigning | Self::KnownKey)
    }

    /// In a sentence after the set's id.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Ours => "is signed with the key of this machine",
            Self::BeforeSigning => "was made here before sets were signed",
            Self::KnownKey => "is signed with a known key of another machine",
            Self::UnknownKey => "is not signed with a known key",
            Self::Unsigned => "is not signed",
        }
    }
}

/// What is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trust {
    /// Of every stack of the project.
    pub ours: BTreeSet<PublicKey>,
    /// That the configuration or the command line names.
    pub known: BTreeSet<PublicKey>,
    /// Of manifests that lay in the folder when the key was made.
    pub earlier: BTreeSet<Digest>,
    /// Whether backups were made here, and no key yet.
    pub is_first_run: bool,
}

impl Trust {
    /// Whose the manifest with these bytes and this digest is.
    pub fn origin(&self, manifest: &[u8], digest: &str, signature: Option<&str>) -> Origin {
        let is_by = |keys: &BTreeSet<PublicKey>| {
            signature.is_some_and(|text| keys.iter().any(|key| key.verifies(manifest, text)))
        };
        match signature {
            _ if is_by(&self.ours) => Origin::Ours,
            _ if self.earlier.contains(digest) => Origin::BeforeSigning,
            _ if is_by(&self.known) => Origin::KnownKey,
            None if self.is_first_run => Origin::BeforeSigning,
            None => Origin::Unsigned,
            Some(_) => Origin::UnknownKey,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::digest::sha256;
    use crate::host::signature::SigningKey;

    #[test]
    fn a_set_is_whose_key_signed_it() {
        let keys: Vec<_> = (0..3).map(|_| SigningKey::random().unwrap()).collect();
        let public = |at: usize| BTreeSet::from([keys[at].public().unwrap()]);
        let digest = sha256(b"manifest");
        let mut trust = Trust { ours: public(0), known: public(1), ..Trust::default() };
        let by = |trust: &Trust, at: usize| {
            let signature = keys[at].sign(b"manifest", "file:a");
            trust.origin(b"manifest", &digest, Some(&signature))
        };
        let found: Vec<_> = (0..3).map(|at| by(&trust, at)).collect();
        assert_eq!(found, [Origin::Ours, Origin::KnownKey, Origin::UnknownKey]);
        let other = keys[0].sign(b"another manifest", "file:a");
        assert_eq!(trust.origin(b"manifest", &digest, Some(&other)), Origin::UnknownKey);
        assert_eq!(trust.origin(b"manifest", &digest, None), Origin::Unsigned);
        trust.is_first_run = true;
        assert_eq!(trust.origin(b"manifest", &digest, None), Origin::BeforeSigning);
        assert_eq!(by(&trust, 2), Origin::UnknownKey);
        trust.is_first_run = false;
        trust.earlier.insert(digest.as_str().try_into().unwrap());
        assert_eq!(trust.origin(b"manifest", &digest, None), Origin::BeforeSigning);
    }
}
