//! A stack's `.env`, with the shell's variables before it and the compose file's defaults after.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::dotenv::{self, Assignment};
use crate::host::files::explain;
use crate::host::followed;

/// The values that compose will see.
#[derive(Debug, Clone)]
pub struct Env {
    path: PathBuf,
    text: Option<String>,
    broken: Option<usize>,
    assignments: Vec<Assignment>,
    presets: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
}

impl Env {
    /// Reads the file at `path`; while it is missing, the values of the example beside it hold.
    /// One that is not UTF-8 is read as well as can be: [`Env::broken_line`] says where it is not.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn load(path: PathBuf, defaults: BTreeMap<String, String>) -> Result<Self> {
        let bytes = read_bytes(&path)?;
        let broken = bytes.as_deref().and_then(broken_line);
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let example = match &text {
            Some(_) => None,
            None => followed::text_optional(&path.with_file_name(".env.example"))?,
        };
        let assignments =
            text.as_ref().or(example.as_ref()).map(|text| dotenv::parse(text, &shell));
        let assignments = assignments.unwrap_or_default();
        Ok(Self { path, text, broken, assignments, presets: BTreeMap::new(), defaults })
    }

    /// The first line that is not UTF-8, from 1. Such a file must not be written back.
    pub fn broken_line(&self) -> Option<usize> {
        self.broken
    }

    /// Gives `name` the value that the command line means: it holds unless the written file has
    /// another, whatever the shell exports, and `setup` writes it into the file.
    pub fn preset(&mut self, name: &str, value: String) {
        self.presets.insert(name.to_owned(), value);
    }

    /// The presets.
    pub fn presets(&self) -> &BTreeMap<String, String> {
        &self.presets
    }

    /// The value of `name`: the shell's, unless the command line means another; the file's, the
    /// example's or the compose file's default.
    pub fn get(&self, name: &str) -> Option<String> {
        if let Some(preset) = self.presets.get(name) {
            return self.in_file(name).or_else(|| Some(preset.clone()));
        }
        shell(name).or_else(|| self.assigned(name)).or_else(|| self.defaults.get(name).cloned())
    }

    /// The value that the written file gives `name`, unless it is empty.
    pub fn in_file(&self, name: &str) -> Option<String> {
        self.text.as_ref().and_then(|_| self.assigned(name))
    }

    fn assigned(&self, name: &str) -> Option<String> {
        let value = self.assignment(name)?.value.clone().ok();
        value.filter(|value| !value.is_empty())
    }

    /// The last assignment of `name` in the file, which is the one that counts.
    pub fn assignment(&self, name: &str) -> Option<&Assignment> {
        self.assignments.iter().rev().find(|assignment| assignment.key == name)
    }

    /// Whether the assignment of `name` that counts has no value that every Compose reads.
    pub fn is_unclear(&self, name: &str) -> bool {
        self.assignment(name).is_some_and(|assignment| assignment.value.is_err())
    }

    /// Every assignment of the file.
    pub fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }

    /// The file's text, `None` where there is no file.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Takes `text` for the file's, before it is written.
    pub fn replace_text(&mut self, text: String) {
        self.assignments = dotenv::parse(&text, &shell);
        self.text = Some(text);
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    match followed::bytes(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(explain(error, path)),
    }
}

fn broken_line(bytes: &[u8]) -> Option<usize> {
    let good = std::str::from_utf8(bytes).err()?.valid_up_to();
    Some(1 + bytes.iter().take(good).filter(|byte| **byte == b'\n').count())
}

/// The shell's value of `name`, which both Composes prefer to the file's.
pub fn shell(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_line_that_is_no_text_is_known_and_the_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, b"A_ONE=1\nB=\xff\nC=3\n").unwrap();
        let env = Env::load(path, BTreeMap::new()).unwrap();
        assert_eq!(env.broken_line(), Some(2));
        assert_eq!(env.in_file("C").as_deref(), Some("3"));
    }
}
