//! The command lines that hints and ways out name: on the same copy as the one that was typed.

use std::path::Path;
use std::sync::OnceLock;

use crate::process::quote;

static OPTIONS: OnceLock<String> = OnceLock::new();

/// From now on every hint carries these, as the user gave them.
pub fn carry(project: Option<&str>, data_dir: Option<&Path>) {
    let _ = OPTIONS.set(options(project, data_dir));
}

/// ` --project NAME --data-dir DIR`, as far as they are given.
pub fn options(project: Option<&str>, data_dir: Option<&Path>) -> String {
    let project = project.map(|name| format!(" --project {name}"));
    let data_dir = data_dir.map(|dir| format!(" --data-dir {}", quote(&dir.to_string_lossy())));
    [project, data_dir].into_iter().flatten().collect()
}

/// `cargo xtask …`, as the user should type it. [`crate::stack::Stack::short`] has the words for
/// one stack.
pub fn command(words: &str) -> String {
    format!("cargo xtask {words}{}", OPTIONS.get().map_or("", String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_can_be_typed_as_it_stands() {
        assert_eq!(command("doctor"), "cargo xtask doctor");
        let options = options(Some("copy"), Some(Path::new("/with a space")));
        assert_eq!(options, " --project copy --data-dir '/with a space'");
    }
}
