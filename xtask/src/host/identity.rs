//! What tells one directory from every other, whatever it is called.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::digest::hex;
use crate::names::checked;

checked! {
    /// A name that a directory keeps in a file of its own, wherever it is mounted or copied to.
    pub struct Identity: "identity of a directory", |text| {
        text.len() == 32 && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    }
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// When the system's random generator fails.
    pub fn random() -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).context("making an identity")?;
        hex(&random).try_into()
    }
}

/// What the kernel knows a directory by while it runs: the same through every mount of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    device: u64,
    inode: u64,
}

impl Node {
    /// Of the directory that `path` leads to.
    ///
    /// # Errors
    /// When there is none, or we may not go there.
    pub fn of(path: &Path) -> io::Result<Self> {
        let facts = std::fs::metadata(path)?;
        Ok(Self { device: facts.dev(), inode: facts.ino() })
    }

    /// Of the directory and of those around it, as far as we may look.
    pub fn around(path: &Path) -> Vec<Self> {
        path.ancestors().filter_map(|path| Self::of(path).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_the_same_under_each_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let other = folder.path().join("other");
        std::os::unix::fs::symlink(&inner, &other).unwrap();
        assert_eq!(Node::of(&inner).unwrap(), Node::of(&other).unwrap());
        assert_ne!(Node::of(&inner).unwrap(), Node::of(folder.path()).unwrap());
        assert!(Node::around(&inner).contains(&Node::of(folder.path()).unwrap()));
        assert!(Node::of(&folder.path().join("gone")).is_err());
    }

    #[test]
    fn no_two_identities_are_alike_and_none_is_a_path() {
        assert_ne!(Identity::random().unwrap(), Identity::random().unwrap());
        for text in ["", "../../x", "0123456789abcdef0123456789ABCDEF", "0123"] {
            assert!(Identity::try_from(text).is_err(), "{text}");
        }
    }
}
