//! Real Composes are the judges of what xtask reads in `.env`: whatever it reads, each of them
//! reads alike.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::composes::{Compose, FULL, SMOKE};
use tests::{Random, Site, seed};
use xtask::stack::dotenv;

/// The values that `compose` reads for `A0`, `A1`, …, or why it refuses the file.
fn read(compose: Compose, folder: &Path, file: &str, count: usize) -> Result<Vec<String>, String> {
    let labels: String = (0..count).map(|n| format!("      A{n}: \"${{A{n}}}\"\n")).collect();
    let services = format!("services:\n  s:\n    image: x\n    labels:\n{labels}");
    fs::write(folder.join("docker-compose.yml"), services).unwrap();
    fs::write(folder.join(".env"), file).unwrap();
    let output = Command::new(compose.program())
        .args(["--project-name", "x", "--env-file", ".env", "config"])
        .current_dir(folder)
        .env("E", "env")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || said.contains("could not parse") {
        return Err(said.into_owned());
    }
    let config: yaml_serde::Value = yaml_serde::from_slice(&output.stdout).unwrap();
    let labels = &config["services"]["s"]["labels"];
    // Compose doubles dollars in what it prints.
    let value = |n| labels[format!("A{n}")].as_str().unwrap().replace("$$", "$");
    Ok((0..count).map(value).collect())
}

/// A line that assigns to `A<number>`, made of what is delicate.
fn random_line(random: &mut Random, number: usize) -> String {
    const PIECES: [&str; 30] = [
        "a",
        "Z9",
        "_",
        "-",
        ".",
        "/",
        ":",
        "@",
        "%41",
        "+",
        ",",
        "=",
        "~",
        "!",
        "?",
        "*",
        "(",
        ")",
        "[",
        "{",
        "}",
        "|",
        "&",
        ";",
        "<",
        "#",
        " ",
        "'",
        "\"",
        "é日🐘",
    ];
    const DELICATE: [&str; 8] = ["$", "$1", "${E}", "${X}", "\\", "\\\"", "\\\\", "\t"];
    let mut value = String::new();
    for _ in 0..random.below(8) {
        value.push_str(match random.below(5) {
            0 => DELICATE[random.below(8) as usize],
            _ => PIECES[random.below(30) as usize],
        });
    }
    let quote = ["", "", "'", "\""][random.below(4) as usize];
    let gap = ["", "", " "][random.below(3) as usize];
    let export = ["", "", "export "][random.below(3) as usize];
    let comment = ["", "", " # why", "\r"][random.below(4) as usize];
    format!("{export}A{number}{gap}={gap}{quote}{value}{quote}{comment}")
}

#[test]
fn every_value_that_xtask_reads_is_read_alike_by_every_compose() {
    const LINES: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(seed());
    let (mut file, mut expected) = (String::new(), Vec::new());
    while expected.len() < LINES {
        let line = random_line(&mut random, expected.len());
        let read = dotenv::parse(&line, &|name| (name == "E").then(|| "env".to_owned()));
        if let [dotenv::Assignment { value: Ok(value), .. }] = read.as_slice() {
            file += &format!("{line}\n");
            expected.push((line, value.clone()));
        }
    }
    for compose in FULL.into_iter().chain(SMOKE) {
        let values = read(compose, folder.path(), &file, LINES)
            .unwrap_or_else(|said| panic!("{compose:?} refuses what xtask reads: {said}\n{file}"));
        for ((line, expected), value) in expected.iter().zip(values) {
            assert_eq!(value, *expected, "{compose:?} reads `{line}` differently");
        }
    }
}

#[test]
fn every_value_that_xtask_writes_is_read_back_by_every_compose() {
    const VALUES: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(seed());
    let (mut file, mut expected) = ("# begins\n".to_owned(), Vec::new());
    while expected.len() < VALUES {
        let length = random.below(12);
        let value: String = (0..length).map(|_| char::from(32 + random.below(95) as u8)).collect();
        if let Some(changed) = dotenv::set(&file, &format!("A{}", expected.len()), &value) {
            file = changed;
            expected.push(value);
        }
    }
    for compose in FULL.into_iter().chain(SMOKE) {
        let values = read(compose, folder.path(), &file, VALUES).unwrap();
        assert_eq!(values, expected, "{compose:?}\n{file}");
    }
}

#[test]
fn a_line_that_composes_may_read_differently_is_refused_until_it_is_rewritten() {
    let site = Site::new("rewrite", &[FULL[0]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let good = fs::read_to_string(site.env_file()).unwrap();
    let line = 1 + good.lines().position(|line| line.starts_with("POSTGRES_DB=")).unwrap();
    let bad = good.replace("POSTGRES_DB=case_interview_platform", "POSTGRES_DB=\"a\\tb\" # why");
    fs::write(site.env_file(), &bad).unwrap();
    site.xtask(&["up", "dev"])
        .ends_with(3)
        .says(&format!(".env:{line}: POSTGRES_DB: Composes read backslashes differently"))
        .says("cargo xtask env check dev --fix");
    fs::write(site.env_file(), bad.replace("\\t", "\\\\\\\\")).unwrap();
    site.xtask(&["env", "check", "dev", "--fix"]).succeeds();

    fs::write(site.env_file(), good.replace("POSTGRES_DB=case", "POSTGRES_DB=$case")).unwrap();
    let mut command = site.command(&["env", "check", "dev", "--fix"]);
    assert!(command.status().unwrap().success(), "docker-compose 1.x alone reads it as it stands");
    assert_eq!(site.env("POSTGRES_DB"), "$case_interview_platform");

    site.choose(&FULL);
    fs::write(site.env_file(), good.replace("POSTGRES_DB=case", "POSTGRES_DB=$case")).unwrap();
    site.xtask(&["env", "check", "dev", "--fix"]).ends_with(3).says("this use of `$`");
}
