//! Another machine, another name.

use std::process::Command;

use tests::composes::FULL;
use tests::{Beside, Site, xtask};

#[test]
fn a_set_of_another_project_is_named_and_comes_back() {
    let site = Site::new("moving", &[FULL[1]]);
    site.up();
    site.sql("create table kept as select generate_series(1, 100) as n");
    let set = site.backup(&[]);
    let old = site.project().to_owned();
    site.xtask(&["down", "dev"]).succeeds();
    // The same machine under another name, on data of its own, beside the same sets.
    let config = site.root().join("infrastructure/backup.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let folder = format!("folder = {:?}", site.backups().display().to_string());
    std::fs::write(&config, text.replace("folder = \"\"", &folder)).unwrap();
    let copy = format!("{old}new");
    let _beside = Beside(copy.clone());
    let data = site.root().join("new-data").display().to_string();
    let at = |args: &[&str]| site.xtask(&[args, &["--project", &copy]].concat());
    let setup = [&["setup", "dev", "--data-dir", &data], Site::images()].concat();
    at(&setup).succeeds();
    for command in ["restore", "drill", "verify"] {
        at(&["backup", command, "dev", "latest"])
            .ends_with(2)
            .says(&format!("there are sets of {old}"))
            .says(&format!("backup {command} dev {set}"));
    }
    let restore = ["backup", "restore", "dev", "latest", "--from-project", &old, "--yes"];
    at(&restore).ends_with(1).says("is not signed with a known key");
    let key = site.signing_key().public().unwrap();
    let restore = [&restore[..], &["--signed-by", &key]].concat();
    at(&restore).succeeds().says("not brought along").says("its .env").says("archived logs");
    let count = ["shell", "dev", "postgres", "--", "-Atqc", "select count(*) from kept"];
    let counted = site.xtask(&[&["--project", &copy], &count[..]].concat()).succeeds();
    assert_eq!(counted.stdout.trim(), "100");
    at(&["down", "dev", "--purge", "--yes"]).succeeds();
}

#[test]
fn what_is_unpacked_in_the_clone_is_ignored_by_git() {
    let site = Site::new("unpacked", &[FULL[1]]);
    site.up();
    let set = site.backup(&["--only", "redis"]);
    let looked = site.root().join("looked");
    let to = looked.display().to_string();
    let restore = ["backup", "restore", "dev", &set, "--only", "configuration", "--to", &to];
    site.xtask(&restore).succeeds();
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(site.root()).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(looked.join("configuration").is_dir());
    git(&["init", "--quiet"]);
    let seen = git(&["status", "--porcelain", "--untracked-files=all", "--", "looked"]);
    assert_eq!(seen, "", "secrets would be added");
}

#[test]
fn outside_a_clone_a_command_names_what_it_acts_on() {
    let elsewhere = tempfile::tempdir().unwrap();
    let output =
        Command::new(xtask()).args(["backup", "lst"]).current_dir(&elsewhere).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("not in a clone; acting on {}", tests::root().display());
    assert!(said.contains(&expected), "{said}");
}
