//! Harness of the end-to-end tests: the built binary, driven as a user would, on a real engine.
//!
//! A [`Site`] is a copy of the repository's files with a project name, ports and a data directory
//! of its own, so that tests run side by side. It takes everything down when it is dropped, also
//! when the test fails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness fails by panicking")]

pub mod api;
pub mod blocks;
pub mod compare;
pub mod composes;
pub mod debian;
pub mod disk;
pub mod engine;
pub mod machine;
pub mod mutants;
pub mod net;
mod part;
pub mod prometheus;
pub mod receiver;
mod run;
pub mod sets;
mod site;
pub mod versions;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, OnceLock};

pub use part::{Beside, Part};
pub use run::Run;
pub use site::{Site, asset, docker};

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// The built `xtask`.
pub fn xtask() -> &'static Path {
    static XTASK: OnceLock<PathBuf> = OnceLock::new();
    XTASK.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--package", "xtask"])
            .current_dir(root())
            .status();
        assert!(status.expect("cargo runs").success(), "xtask does not build");
        let test = std::env::current_exe().expect("we run");
        // As users run it, also from a benchmark, which is itself built for release.
        test.ancestors().nth(3).expect("the target folder").join("debug/xtask")
    })
}

/// Whether the long campaigns were asked for (`cargo xtask test --long`).
pub fn is_long() -> bool {
    std::env::var_os("XTASK_TEST_LONG").is_some()
}

/// A seed for this run, printed so that a failure can be repeated with `XTASK_TEST_SEED`.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = std::env::var("XTASK_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(now.map_or(0, |now| now.subsec_nanos())));
        println!("XTASK_TEST_SEED={seed}");
        seed
    })
}

/// A small generator of reproducible numbers (splitmix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// Stacks that may run at once: more would starve two cores.
const AT_ONCE: usize = 3;

/// The right to run a stack; given back when dropped.
#[derive(Debug)]
struct Permit;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Permit {
    fn take() -> Self {
        let running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut running = FREED
            .wait_while(running, |running| *running >= AT_ONCE)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}
