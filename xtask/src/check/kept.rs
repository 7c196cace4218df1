//! What went well need not be shown again: an answer is kept by the digest of all that it was made
//! from, below `infrastructure/.state/checks/`, one file a question. What failed is asked again.
//!
//! The file is replaced at once, so a killed run leaves the old answer, which then has another
//! digest. Of two runs at once one may not keep its answer; neither reads a wrong one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::host::{digest, files, followed};

/// The answers that are kept.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    /// Whether new ones are.
    is_written: bool,
}

/// Everything that an answer is made from: what is asked, the tool, files with their modes.
#[derive(Debug, Clone)]
pub(super) struct Inputs(Sha256);

impl Inputs {
    /// `what` is asked of `tool`, both with all that tells them from others.
    pub(super) fn new(what: &str, tool: &str) -> Self {
        let mut inputs = Self(Sha256::new());
        inputs.add(what.as_bytes());
        inputs.add(tool.as_bytes());
        inputs
    }

    /// The file at `path`, below `root`: its place, its mode and owner, and what it holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn file(&mut self, root: &Path, path: &Path) -> Result<()> {
        let reading = || format!("reading {}", path.display());
        let metadata = path.metadata().with_context(reading)?;
        let place = path.strip_prefix(root).unwrap_or(path);
        self.add(place.as_os_str().as_encoded_bytes());
        for number in [metadata.mode(), metadata.uid(), metadata.gid()] {
            self.add(&number.to_le_bytes());
        }
        self.add(&followed::bytes(path).with_context(reading)?);
        Ok(())
    }

    /// With its length, so that no two lists of inputs look alike.
    fn add(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn digest(&self) -> String {
        digest::hex(&self.0.clone().finalize())
    }
}

impl Kept {
    /// Those in the repository's `state` folder; `is_written` says whether new ones are kept.
    pub(super) fn below(state: &Path, is_written: bool) -> Self {
        Self { folder: state.join("checks"), is_written }
    }

    /// Whether `question` went well with the same inputs before.
    pub(super) fn has(&self, question: &str, inputs: &Inputs) -> bool {
        // What cannot be read is not kept.
        files::read_text(&self.file(question)).is_ok_and(|kept| kept == inputs.digest())
    }

    /// Keeps that `question` went well with `inputs`. A folder that cannot be written costs time, and
    /// is nothing that a check should fail for.
    pub(super) fn keep(&self, question: &str, inputs: &Inputs) {
        if !self.is_written || files::make_folder(&self.folder, 0o700).is_err() {
            return;
        }
        let _ = files::write_atomically(&self.file(question), inputs.digest().as_bytes(), 0o600);
    }

    fn file(&self, question: &str) -> PathBuf {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let name: String = question.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        self.folder.join(name)
    }
}

/// `found`, with a word that it was not looked at again.
pub(super) fn as_before(found: &str) -> String {
    format!("{found} (as before: nothing that it reads has changed)")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn inputs(folder: &Path, tool: &str) -> Inputs {
        let mut inputs = Inputs::new("test rules", tool);
        inputs.file(folder, &folder.join("a.yml")).unwrap();
        inputs
    }

    #[test]
    fn an_answer_is_kept_until_tool_contents_or_mode_change() {
        let folder = tempfile::tempdir().unwrap();
        let (state, file) = (folder.path().join(".state"), folder.path().join("a.yml"));
        fs::write(&file, "one").unwrap();
        let kept = Kept::below(&state, true);
        let before = inputs(folder.path(), "2.42");
        assert!(!kept.has("a.yml", &before));
        kept.keep("a.yml", &before);
        assert!(kept.has("a.yml", &inputs(folder.path(), "2.42")));
        assert!(!kept.has("b.yml", &before), "another question");
        assert!(!kept.has("a.yml", &inputs(folder.path(), "2.53")), "another tool");

        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!kept.has("a.yml", &inputs(folder.path(), "2.42")), "another mode");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(kept.has("a.yml", &inputs(folder.path(), "2.42")));
        fs::write(&file, "two").unwrap();
        assert!(!kept.has("a.yml", &inputs(folder.path(), "2.42")), "other contents");
    }

    #[test]
    fn half_an_answer_and_a_dry_run_keep_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yml"), "one").unwrap();
        let inputs = inputs(folder.path(), "2.42");
        Kept::below(folder.path(), false).keep("a.yml", &inputs);
        let kept = Kept::below(folder.path(), true);
        assert!(!kept.has("a.yml", &inputs));
        kept.keep("a.yml", &inputs);
        let file = kept.file("a.yml");
        let half = fs::read_to_string(&file).unwrap()[..32].to_owned();
        fs::write(&file, half).unwrap();
        assert!(!kept.has("a.yml", &inputs));
    }
}
