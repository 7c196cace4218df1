//! Says on the terminal that the first build takes a while: `cargo xtask` runs cargo quietly, and
//! cargo keeps what a build script prints to itself.

#![allow(
    clippy::disallowed_methods,
    reason = "the terminal is a device, and nobody puts another there"
)]

use std::fs::OpenOptions;
use std::io::Write;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(mut terminal) = OpenOptions::new().write(true).open("/dev/tty") {
        let _ = writeln!(terminal, "building xtask, which takes about a minute the first time");
    }
}
