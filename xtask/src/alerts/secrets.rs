//! Secrets of channels: files beside notifications.toml that nobody but their owner may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::host::followed;
use crate::process::quote;
use crate::report::finding::Finding;
use crate::secret::Secret;

/// The folder of the secrets, beside notifications.toml.
const FOLDER: &str = "secrets/";

/// Whether what is called `name`, beside notifications.toml, is for its owner alone.
pub(super) fn is_private(name: &str) -> bool {
    let is_settings = name.starts_with("notifications") && name.ends_with(".toml");
    is_settings || name == FOLDER.trim_end_matches('/')
}

/// The name below [`FOLDER`] of a file called `path`, if that is where it lies.
pub(super) fn name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(FOLDER)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (!name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)).then_some(name)
}

/// What the file called `path` holds, without the line break at its end.
///
/// # Errors
/// A finding that says what is wrong with the file, never what it holds.
pub(super) fn read(folder: &Path, path: &str) -> Result<Secret, Box<Finding>> {
    let full = folder.join(path);
    let shown = quote(&full.to_string_lossy());
    let fail = |id, found: String, mend: String| Box::new(Finding::error(id, found).mend(mend));
    if name(path).is_none() {
        return Err(fail(
            "notifications.secret-place",
            format!("`{path}` names no file in {FOLDER}"),
            format!("write {FOLDER} and a name of letters, digits, `-`, `_` and `.`"),
        ));
    }
    let private = format!("chmod 600 {shown}");
    let beside = quote(&folder.join(FOLDER).to_string_lossy());
    let put = format!("put the secret there: (umask 077; mkdir -p {beside}; cat >{shown})");
    let facts = fs::metadata(&full).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let found = format!("the secret file {path} is missing");
            fail("notifications.secret-missing", found, put.clone())
        }
        _ => {
            let found = format!("the secret file {path} cannot be looked at: {error}");
            fail("notifications.secret-unreadable", found, private.clone())
        }
    })?;
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let found = format!("others than its owner may read the secret file {path} ({mode:04o})");
        return Err(fail("notifications.secret-exposed", found, private));
    }
    let text = followed::text(&full).map_err(|error| {
        let found = format!("the secret file {path} cannot be read: {error}");
        fail("notifications.secret-unreadable", found, format!("run as its owner, or: {private}"))
    })?;
    let text = text.trim();
    if text.is_empty() {
        let found = format!("the secret file {path} is empty");
        return Err(fail("notifications.secret-empty", found, put));
    }
    if text.chars().any(char::is_control) {
        let found = format!("the secret file {path} holds more than one line");
        return Err(fail("notifications.secret-lines", found, put));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_secret_file_has_its_own_sentence() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("secrets")).unwrap();
        let put = |name: &str, text: &str, mode| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("secrets/good", " word-of-good \n", 0o600);
        assert_eq!(read(folder.path(), "secrets/good").unwrap().reveal(), "word-of-good");
        put("secrets/empty", "\n", 0o600);
        put("secrets/open", "word-of-open", 0o644);
        put("secrets/lines", "word-of\nlines", 0o600);
        for (path, id, words) in [
            ("secrets/none", "notifications.secret-missing", "is missing"),
            ("secrets/empty", "notifications.secret-empty", "is empty"),
            ("secrets/open", "notifications.secret-exposed", "(0644)"),
            ("secrets/lines", "notifications.secret-lines", "more than one line"),
            ("secrets/../good", "notifications.secret-place", "no file in secrets/"),
            ("/etc/passwd", "notifications.secret-place", "no file in secrets/"),
        ] {
            let finding = read(folder.path(), path).unwrap_err();
            assert_eq!(finding.id, id);
            assert!(finding.found.contains(words), "{finding}");
            assert!(!finding.mend.is_empty() && !finding.to_string().contains("word-of"));
        }
    }
}
