//! A service gets a user of its own in a new version: what was made for it goes along.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::composes::FULL;
use tests::{Site, docker};

const OLD: &str = "65534:65534";
const NEW: &str = "59187:59187";

/// What says as whom the exporter of PostgreSQL runs.
const FILES: [&str; 2] =
    ["infrastructure/stacks.toml", "infrastructure/docker/development/docker-compose.overlay.yml"];

/// Only root sees whose the files in a folder are, and need not make them all again.
fn goes_along(site: &Site, is_root: bool) {
    let shipped = FILES.map(|file| fs::read_to_string(site.root().join(file)).unwrap());
    for (file, text) in FILES.iter().zip(&shipped) {
        assert!(text.contains(NEW), "{file}");
        fs::write(site.root().join(file), text.replace(NEW, OLD)).unwrap();
    }
    site.up();
    forget_owners(&site.data().join("state/development-generated.json"));
    let folder = site.data().join("generated/postgres-exporter");
    let password = folder.join("password");
    assert_eq!((owner(&folder), owner(&password)), (65534, 65534));
    let redis = start(site, "redis");

    for (file, text) in FILES.iter().zip(shipped) {
        fs::write(site.root().join(file), text).unwrap();
    }
    let dry = site.xtask(&["up", "dev", "--dry-run"]).succeeds();
    assert!(dry.stdout.contains("generated/postgres-exporter"), "{}", dry.stdout);
    assert_eq!(owner(&folder), 65534, "it says so and does nothing");
    site.up();
    assert_eq!((owner(&folder), owner(&password)), (59187, 59187));
    let exporter = site.development().container("postgres-exporter");
    assert_eq!(docker(&["inspect", "--format", "{{.Config.User}}", &exporter]), NEW);

    // As after a run that was killed between the folder and what is in it.
    forget_owners(&site.data().join("state/development-generated.json"));
    chown(&password, Some(65534), Some(65534)).unwrap();
    site.up();
    assert_eq!(owner(&password), 59187);
    if is_root {
        assert_eq!(start(site, "redis"), redis, "the others run on");
    }
}

/// As it was recorded before owners were.
fn forget_owners(record: &Path) {
    let mut json: Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    for made in json.as_object_mut().unwrap().values_mut() {
        assert!(made.as_object_mut().unwrap().remove("owner").is_some(), "it is recorded");
    }
    fs::write(record, json.to_string()).unwrap();
}

fn owner(path: &PathBuf) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

fn start(site: &Site, service: &str) -> String {
    let id = site.development().container(service);
    docker(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", &id])
}

#[test]
fn what_was_made_for_a_service_goes_along_to_its_new_user() {
    goes_along(&Site::new("owners", &[FULL[0]]), true);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn what_was_made_for_a_service_goes_along_for_one_who_is_not_root() {
    let socket = fs::metadata("/var/run/docker.sock").expect("the engine's socket");
    let mut site = Site::new("ownersuser", &[FULL[1]]);
    site.run_as(4322, socket.gid());
    goes_along(&site, false);
}
