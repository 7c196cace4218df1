//! Sets that this machine can write and cannot read.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use tests::composes::FULL;
use tests::{Site, debian};

use crate::backup_monitoring::{ask, dashboard, has_dashboard, silence, state_of};

/// A key pair: the file with the private key, and the public one.
pub(crate) fn key(site: &Site, name: &str) -> (String, String) {
    let file = site.root().join(name).display().to_string();
    let output = Command::new(debian::program("age", "age-keygen"))
        .args(["--output", &file])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (file, said.trim().rsplit(' ').next().unwrap().to_owned())
}

pub(crate) fn give_age(site: &Site) {
    let bin = site.root().parent().unwrap().join("bin");
    symlink(debian::program("age", "age"), bin.join("age")).unwrap();
}

pub(crate) fn encrypt_to(site: &Site, public: &str) {
    let config = site.root().join("infrastructure/backup.toml");
    let text = fs::read_to_string(&config).unwrap();
    let key = format!("recipients = [\"{public}\"]");
    fs::write(&config, text.replace("recipients = []", &key)).unwrap();
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn an_encrypted_set_opens_with_its_private_key_alone_and_with_plain_age() {
    let site = Site::new("age", &[FULL[1]]);
    give_age(&site);
    let (mine, public) = key(&site, "mine.txt");
    let (other, _) = key(&site, "other.txt");
    site.up();
    encrypt_to(&site, &public);
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
        .arg(debian::program("age", "age"))
        .arg(&mine)
        .arg(site.backups().join(configuration))
        .status();
    assert!(status.unwrap().success());
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn an_encrypted_set_of_monitoring_comes_back_for_a_user_who_is_not_root() {
    let uid = 4325;
    let socket = fs::metadata("/var/run/docker.sock").expect("the engine's socket");
    let mut site = Site::new("monage", &[FULL[1]]);
    give_age(&site);
    let (mine, public) = key(&site, "mine.txt");
    encrypt_to(&site, &public);
    site.run_as(uid, socket.gid());
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    let part = site.monitoring();
    let uid_of_board = dashboard(&part);
    let silence = silence(&part);
    let made = site.xtask(&["backup", "monitoring", "--json"]).succeeds().json();
    for object in made["sets"][0]["objects"].as_array().unwrap() {
        let path = site.backups().join(object["path"].as_str().unwrap());
        let facts = fs::metadata(&path).unwrap();
        assert!(path.to_string_lossy().ends_with(".zst.age"), "{}", path.display());
        assert_eq!((facts.uid(), facts.mode() & 0o077), (uid, 0), "{}", path.display());
    }
    site.xtask(&["backup", "verify", "--deep", "--identity", &mine]).succeeds();
    site.xtask(&["backup", "drill", "--identity", &mine]).succeeds();
    ask(&part, "ALERTMANAGER", "DELETE", &format!("/api/v2/silence/{silence}"), "");
    ask(&part, "GRAFANA", "DELETE", &format!("/api/dashboards/uid/{uid_of_board}"), "");
    site.xtask(&["backup", "restore", "latest", "--yes", "--identity", &mine]).succeeds();
    assert_eq!(state_of(&part, &silence), "active");
    assert!(has_dashboard(&part, &uid_of_board));
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}
