//! Sets that this machine can write and cannot read.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use tests::composes::FULL;
use tests::{Site, age};

/// A key pair: the file with the private key, and the public one.
fn key(site: &Site, name: &str) -> (String, String) {
    let file = site.root().join(name).display().to_string();
    let output =
        Command::new(age::program("age-keygen")).args(["--output", &file]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (file, said.trim().rsplit(' ').next().unwrap().to_owned())
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn an_encrypted_set_opens_with_its_private_key_alone_and_with_plain_age() {
    let site = Site::new("age", &[FULL[1]]);
    let bin = site.root().parent().unwrap().join("bin");
    symlink(age::program("age"), bin.join("age")).unwrap();
    let (mine, public) = key(&site, "mine.txt");
    let (other, _) = key(&site, "other.txt");
    site.up();
    let config = site.root().join("infrastructure/backup.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("recipients = []", &format!("recipients = [\"{public}\"]")))
        .unwrap();
    site.sql("create table kept as select generate_series(1, 100) as n");
    let made = site.xtask(&["backup", "dev", "--json"]).succeeds();
    assert!(!made.stderr.contains("not encrypted"), "{}", made.stderr);
    let objects = made.json()["sets"][0]["objects"].as_array().unwrap().clone();
    let paths: Vec<_> = objects.iter().map(|object| object["path"].as_str().unwrap()).collect();
    assert!(paths.iter().all(|path| path.ends_with(".tar.zst.age")), "{paths:?}");

    site.xtask(&["backup", "verify"]).succeeds();
    site.xtask(&["backup", "verify", "--deep"]).succeeds().says("encrypted, so not opened");
    site.xtask(&["backup", "verify", "--deep", "--identity", &mine]).succeeds();
    site.xtask(&["backup", "verify", "--deep", "--identity", &other]).ends_with(1);
    site.xtask(&["backup", "restore", "latest", "--yes"]).ends_with(2).says("--identity FILE");
    site.xtask(&["backup", "drill", "--identity", &mine]).succeeds();
    site.sql("drop table kept");
    site.xtask(&["backup", "restore", "latest", "--yes", "--identity", &mine]).succeeds();
    assert_eq!(site.sql("select count(*) from kept"), "100");

    let configuration = paths.iter().find(|path| path.contains("configuration")).unwrap();
    let script = "\"$1\" --decrypt --identity \"$2\" \"$3\" | zstd -dc | tar -tf - | grep -q development/.env";
    let status = Command::new("sh")
        .args(["-ec", script, "sh"])
        .arg(age::program("age"))
        .arg(&mine)
        .arg(site.backups().join(configuration))
        .status();
    assert!(status.unwrap().success());
}
