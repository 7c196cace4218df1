//! What was once there and now is not is an error, and no first start.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use tests::Site;
use tests::composes::FULL;
use tests::disk::SmallDisk;

/// Room for an empty PostgreSQL and what it writes at its start.
const DISK: u64 = 256 << 20;

/// Everything that would act on data, or say that it is well.
const ACTING: [&[&str]; 9] = [
    &["up", "dev"],
    &["setup", "dev"],
    &["doctor", "dev"],
    &["doctor", "dev", "--fix"],
    &["down", "dev", "--purge", "--yes"],
    &["restart", "dev"],
    &["rotate-logs", "dev"],
    &["metrics"],
    &["backup", "dev"],
];

#[test]
fn a_data_disk_that_is_not_mounted_is_no_first_start() {
    let site = Site::new("no-disk", &[FULL[1]]);
    let disk = SmallDisk::mount(&site.data(), DISK);
    SmallDisk::is_enough_for(&site, "32MB");
    site.up();
    site.mark(1);
    disk.take_away();
    let is_empty = || fs::read_dir(site.data()).unwrap().next().is_none();
    for args in ACTING {
        let run = site.xtask(args);
        assert!([1, 3].contains(&run.status), "{args:?}: {}", run.stderr);
        run.says("is not in").says("disk is not mounted").says("up dev --fresh");
        assert!(is_empty(), "{args:?} has made something on the disk below");
    }
    // Not before the servers that have the disk open let it go.
    site.xtask(&["down", "dev"]).succeeds();
    site.xtask(&["up", "dev"]).ends_with(3).says("disk is not mounted");
    assert!(is_empty());

    disk.bring_back();
    site.up();
    assert_eq!(site.marked(), (1, 1));

    // Another place is none either, until what is there has come along.
    site.xtask(&["down", "dev"]).succeeds();
    let moved = site.data().with_file_name("moved");
    let was = site.env("DATA_DIR");
    site.set_env("DATA_DIR", moved.to_str().unwrap());
    site.xtask(&["up", "dev"]).ends_with(3).says("is in").says(&format!("put DATA_DIR={was} back"));
    assert!(!moved.exists());
    let status = std::process::Command::new("cp").arg("-a").arg(site.data()).arg(&moved).status();
    assert!(status.unwrap().success());
    site.up();
    assert_eq!(site.marked(), (1, 1));
    site.xtask(&["down", "dev"]).succeeds();
    site.set_env("DATA_DIR", &was);
    site.up();

    // Starting anew needs a word.
    site.xtask(&["down", "dev"]).succeeds();
    disk.take_away();
    site.xtask(&["up", "dev", "--fresh"]).succeeds();
    site.mark(2);
    site.xtask(&["restart", "dev"]).succeeds();
    assert_eq!(site.marked(), (2, 2));
}

fn one_disk_of_a_service(site: &Site) {
    let place = site.data().join("postgres");
    // What is below a disk may look as its owner wants it, and only root may look into it.
    fs::create_dir_all(&place).unwrap();
    chown(&place, Some(999), Some(999)).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap();
    let disk = SmallDisk::mount(&place, DISK);
    SmallDisk::is_enough_for(site, "32MB");
    site.up();
    site.mark(1);
    let gone = |args: &[&str]| {
        site.xtask(args).ends_with(3).says("its data is not in").says("up dev --fresh");
    };
    disk.take_away();
    gone(&["restart", "dev"]);
    site.xtask(&["down", "dev"]).succeeds();
    for args in [&["up", "dev"][..], &["setup", "dev"], &["doctor", "dev"]] {
        gone(args);
    }
    assert!(fs::read_dir(&place).unwrap().next().is_none());
    disk.bring_back();
    site.up();
    assert_eq!(site.marked(), (1, 1));
    site.xtask(&["down", "dev"]).succeeds();
    disk.take_away();
    site.xtask(&["up", "dev", "--fresh"]).succeeds();
    assert_eq!(site.sql("select to_regclass('mark') is null"), "t");
    assert_eq!(site.redis(&["get", "mark"]), "1", "what was there is kept");
}

#[test]
fn a_disk_of_one_service_that_is_not_mounted_is_no_first_start() {
    one_disk_of_a_service(&Site::new("no-part", &[FULL[1]]));
}

#[test]
fn nor_is_it_for_a_user_who_may_not_look_into_it() {
    let socket = fs::metadata("/var/run/docker.sock").expect("the engine's socket");
    let mut site = Site::new("no-part-user", &[FULL[1]]);
    fs::create_dir_all(site.data()).unwrap();
    site.run_as(4324, socket.gid());
    one_disk_of_a_service(&site);
}

#[test]
fn a_backup_disk_that_is_not_mounted_is_no_empty_folder() {
    let site = Site::new("no-backups", &[FULL[1]]);
    let disk = SmallDisk::mount(&site.root().join("mounted"), 64 << 20);
    let config = site.root().join("infrastructure/backup.toml");
    let shipped = fs::read_to_string(&config).unwrap();
    fs::write(&config, shipped.replace("folder = \"\"", &format!("folder = {:?}", disk.path())))
        .unwrap();
    site.up();
    // Nothing is not well.
    site.xtask(&["backup", "list"]).succeeds().says("no sets yet");
    site.xtask(&["backup", "verify"]).ends_with(1).says("there is no set to verify");
    let id = site.backup(&["--only", "redis"]);
    site.xtask(&["backup", "verify"]).succeeds();

    disk.take_away();
    for args in [
        &["backup", "list"][..],
        &["backup", "verify"],
        &["backup", "verify", "--quick"],
        &["backup", "prune"],
        &["backup", "drill"],
        &["backup", "dev"],
        &["backup", "show", &id],
        &["backup", "restore", &id, "--yes"],
    ] {
        let run = site.xtask(args).ends_with(1).says("the backups are not in");
        run.says("disk is not mounted").says("cargo xtask backup --fresh");
        assert!(fs::read_dir(disk.path()).unwrap().next().is_none(), "{args:?}");
    }
    // It is not needed to have the data from before a restore back.
    site.xtask(&["backup", "restore", "dev", "--undo", "--yes"]).ends_with(1).says("no restore");

    disk.bring_back();
    site.xtask(&["backup", "list"]).succeeds().says(&id);
    // Whoever carries a folder elsewhere may leave its state behind: its sets name it.
    fs::remove_dir_all(disk.path().join("state")).unwrap();
    site.xtask(&["backup", "list"]).succeeds().says(&id);
    site.xtask(&["backup", "verify"]).succeeds();
    assert!(disk.path().join("state/folder.json").exists());

    disk.take_away();
    site.xtask(&["backup", "dev", "--only", "redis", "--fresh"]).succeeds();
    site.xtask(&["backup", "verify"]).succeeds();
}

#[test]
fn a_set_without_objects_is_no_set() {
    let site = Site::new("hollow", &[FULL[1]]);
    site.up();
    let id = site.backup(&["--only", "redis"]);
    let forged = site.forge(&id, |manifest| {
        manifest["objects"] = serde_json::json!([]);
        manifest["services"] = serde_json::json!([]);
    });
    site.xtask(&["backup", "verify"]).ends_with(1).says("it names no object");
    site.xtask(&["backup", "show", &forged]).ends_with(1).says("it names no object");
}
