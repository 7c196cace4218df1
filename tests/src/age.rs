//! The `age` program for tests, from the PATH or from Debian.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::composes::on_path;
use crate::root;

/// `age` or `age-keygen`, fetched once where it does not come with the machine.
pub fn program(name: &str) -> PathBuf {
    on_path(name).unwrap_or_else(|| fetched().join("usr/bin").join(name))
}

fn fetched() -> &'static PathBuf {
    static FETCHED: OnceLock<PathBuf> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let folder = root().join("target/age");
        if !folder.join("usr/bin/age-keygen").is_file() {
            std::fs::create_dir_all(&folder).expect("a folder");
            let script = "apt-get download --quiet age && dpkg-deb --extract age_*.deb .";
            let output = Command::new("sh").args(["-ec", script]).current_dir(&folder).output();
            let output = output.expect("sh runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "fetching age: {said}");
        }
        folder
    })
}
