//! The guide's steps by hand, as a new user would take them.

use std::fs;
use std::process::Command;

use tests::composes::{Compose, FULL};
use tests::{Site, on_each_postgres, root};

on_each_postgres!(a_set_comes_back_by_hand_with_docker_compose_1);

/// The first `sh` block under the heading, for a test that is root.
fn steps(heading: &str) -> String {
    let guide = fs::read_to_string(root().join("docs/backup-and-restore.md")).unwrap();
    let section = guide.split(&format!("## {heading}\n")).nth(1).expect("the section");
    let block = section.split("```sh\n").nth(1).expect("a block of commands");
    block.split("```").next().unwrap().replace("sudo ", "")
}

/// Does what stands under the heading.
pub(crate) fn take(site: &Site, compose: Compose, heading: &str) {
    let mut script = steps(heading);
    if compose != FULL[0] {
        script = script.replace("docker-compose ", "docker compose ");
    }
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).current_dir(site.root());
    site.environment(&mut command);
    let bin = site.root().parent().unwrap().join("bin");
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    let output = command.env("PATH", path).env("DATA_DIR", site.data()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
}

/// A stack that has gone, with all but its backup. Returns the password that it had.
fn leave_only_a_set(site: &Site) -> String {
    site.up();
    site.sql("create table kept as select generate_series(1, 100) as n");
    site.redis(&["set", "kept", "yes"]);
    site.backup(&[]);
    let password = site.env("POSTGRES_PASSWORD");
    site.xtask(&["down", "dev", "--purge", "--yes"]).succeeds();
    fs::remove_file(site.env_file()).unwrap();
    password
}

fn is_back(site: &Site) {
    assert_eq!(site.sql("select count(*) from kept"), "100");
    assert_eq!(site.redis(&["get", "kept"]), "yes");
}

fn a_new_machine(compose: Compose, on: &str) {
    let site = Site::new(&format!("bare-{}", compose.word()), &[compose]).on(on);
    let password = leave_only_a_set(&site);

    take(&site, compose, "By hand");

    assert_eq!(site.env("POSTGRES_PASSWORD"), password);
    site.xtask(&["up", "dev"]).succeeds();
    is_back(&site);
    site.xtask(&["restart", "dev"]).succeeds();
    assert_eq!(site.redis(&["get", "kept"]), "yes");
}

fn a_set_comes_back_by_hand_with_docker_compose_1(on: &'static str) {
    a_new_machine(FULL[0], on);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_set_comes_back_by_hand_with_the_compose_plugin() {
    a_new_machine(FULL[1], "postgres:15");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_bare_set_comes_back_on_a_new_machine_with_new_passwords() {
    let site = Site::new("bare-xtask", &[FULL[1]]);
    let password = leave_only_a_set(&site);
    fs::remove_dir_all(site.data().join("state")).unwrap();
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    assert_ne!(site.env("POSTGRES_PASSWORD"), password);
    site.xtask(&["backup", "restore", "latest", "--yes"]).succeeds();
    is_back(&site);
}
