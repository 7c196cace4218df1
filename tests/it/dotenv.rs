//! Compose's reading of `.env` is the truth: the cases that xtask's own reader is tested with,
//! put before real Composes.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::composes::{Compose, FULL};

#[path = "../../xtask/src/stack/dotenv/cases.rs"]
mod cases;

/// The default by which a variable that is not set is told from an empty one.
const UNSET: &str = "unset";

/// What a Compose makes of the file, in the table's words.
fn read(compose: Compose, folder: &Path) -> Vec<String> {
    let output = Command::new(compose.program())
        .args(["--project-name", "x", "--env-file", ".env", "config"])
        .current_dir(folder)
        .env_remove("A")
        .env_remove("B")
        .env_remove("C")
        .env("E", "env")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let mut read = Vec::new();
    if !output.status.success() || said.contains("could not parse") {
        read.push("!".to_owned());
    }
    if output.status.success() {
        let config: yaml_serde::Value = yaml_serde::from_slice(&output.stdout).unwrap();
        let labels = &config["services"]["s"]["labels"];
        for name in ["A", "B", "C"] {
            // Compose doubles dollars in what it prints.
            let value = labels[name].as_str().unwrap().replace("$$", "$");
            read.push(if value == UNSET { name.to_owned() } else { format!("{name}={value}") });
        }
    }
    read
}

#[test]
fn real_composes_read_every_case_as_the_table_says() {
    let folder = tempfile::tempdir().unwrap();
    let labels =
        ["A", "B", "C"].map(|name| format!("      {name}: \"${{{name}-{UNSET}}}\"\n")).concat();
    let file = format!("services:\n  s:\n    image: x\n    labels:\n{labels}");
    fs::write(folder.path().join("docker-compose.yml"), file).unwrap();
    let mut wrong = Vec::new();
    for case in cases::cases() {
        fs::write(folder.path().join(".env"), &case.file).unwrap();
        for (compose, who) in FULL.into_iter().zip(["1", "2"]) {
            let read = read(compose, folder.path());
            for (_, expected) in case.expected.iter().filter(|(of, _)| [who, "*"].contains(of)) {
                if !read.contains(expected) {
                    wrong.push(format!(
                        "{compose:?} reads {read:?}, not `{expected}`: {}",
                        case.text
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
