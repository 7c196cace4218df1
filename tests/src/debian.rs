//! Programs that a test calls by hand, from the PATH or from Debian.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::composes::on_path;
use crate::root;

/// The program `name` of the Debian package `package`, fetched once where it does not come with the
/// machine.
pub fn program(package: &str, name: &str) -> PathBuf {
    on_path(name).unwrap_or_else(|| fetched(package, name))
}

fn fetched(package: &str, name: &str) -> PathBuf {
    static FETCHING: Mutex<()> = Mutex::new(());
    let _one = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = root().join("target").join(package);
    let program = folder.join("usr/bin").join(name);
    if !program.is_file() {
        std::fs::create_dir_all(&folder).expect("a folder");
        let script = r#"apt-get download --quiet "$1" && dpkg-deb --extract "$1"_*.deb ."#;
        let output =
            Command::new("sh").args(["-ec", script, "sh", package]).current_dir(&folder).output();
        let output = output.expect("sh runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "fetching {package}: {said}");
    }
    program
}
