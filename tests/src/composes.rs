//! The real Composes that a test chooses between.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::root;

/// A Compose as a user may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compose {
    /// `docker-compose` 1.29.2, from the distribution.
    V1,
    /// The plugin in this version.
    V2(&'static str),
}

/// Run through everything.
pub const FULL: [Compose; 2] = [Compose::V1, Compose::V2("2.40.3")];
/// Asked whether they read our files and start the stack.
pub const SMOKE: [Compose; 2] = [Compose::V2("2.22.0"), Compose::V2("2.29.7")];

impl Compose {
    /// The program, fetched once where it does not come with the machine.
    pub fn program(self) -> PathBuf {
        match self {
            Self::V1 => on_path("docker-compose").expect("docker-compose 1.29.2 is on the PATH"),
            Self::V2(version) => fetched().join(version).join("docker-compose"),
        }
    }

    /// A word for project names.
    pub fn word(self) -> String {
        match self {
            Self::V1 => "v1".to_owned(),
            Self::V2(version) => format!("v{}", version.replace('.', "-")),
        }
    }
}

fn fetched() -> &'static Path {
    static FETCHED: OnceLock<PathBuf> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let folder = root().join("target/compose");
        let output = Command::new(root().join("tests/fetch-compose.sh"))
            .arg(&folder)
            .output()
            .expect("sh runs");
        assert!(
            output.status.success(),
            "fetching Composes: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        folder
    })
}

/// Where `program` is on the PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
