//! Disks that fill up while a backup or a restore is under way.

use std::fs;
use std::process::Stdio;

use tests::composes::FULL;
use tests::disk::SmallDisk;
use tests::{Random, Site, is_long, net, seed};

use crate::backup_damage::files;

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_disk_that_fills_up_during_a_restore_leaves_what_was_there() {
    let site = Site::new("full-restore", &[FULL[1]]);
    let disk = SmallDisk::mount(&site.data(), 512 << 20);
    SmallDisk::is_enough_for(&site, "32MB");
    site.up();
    site.mark(1);
    let id = site.backup(&[]);
    site.mark(2);
    let ballast = disk.path().join("ballast");
    for staged in ["postgres.restore-", "redis.restore-"] {
        let mut command = site.command(&["backup", "restore", &id, "--yes"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        net::eventually("the new data is being made", || {
            site.kept().iter().any(|name| name.starts_with(staged))
        });
        // All but what the others write meanwhile; what the helper needs it does not get.
        disk.fill(&ballast, 2 << 20);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("nothing has changed"), "{said}");
        fs::remove_file(&ballast).unwrap();
        assert!(site.kept().is_empty(), "{:?}", site.kept());
        assert_eq!(site.marked(), (2, 2));
        assert!(site.left_over().is_empty(), "{:?}", site.left_over());
    }
    site.xtask(&["backup", "restore", &id, "--yes"]).succeeds();
    assert_eq!(site.marked(), (1, 1));
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_disk_that_fills_up_leaves_no_set_and_nothing_half_done() {
    let site = Site::new("full", &[FULL[1]]);
    site.up();
    let first = site.backup(&[]);
    // Unlike what the first set holds, it hardly compresses: the estimate is too low.
    site.sql("create table noise as select md5(random()::text) || md5(random()::text) as t from generate_series(1, 1500000)");
    let config = site.root().join("infrastructure/backup.toml");
    let shipped = fs::read_to_string(&config).unwrap();
    let mut random = Random(seed());
    let mut sizes = vec![20 << 10];
    sizes.extend((0..if is_long() { 30 } else { 3 }).map(|_| (44 << 10) + random.below(12 << 10)));
    for (round, size) in sizes.into_iter().enumerate() {
        let disk = SmallDisk::mount(&site.root().join(format!("mounted-{size}")), size << 10);
        let folder = disk.path().join("backups");
        fs_extra::dir::copy(site.backups(), disk.path(), &fs_extra::dir::CopyOptions::new())
            .unwrap();
        fs::write(&config, shipped.replace("folder = \"\"", &format!("folder = {folder:?}")))
            .unwrap();
        let run = site.xtask(&["backup", "dev"]).ends_with(1);
        let words = if round == 0 { "and this backup needs about" } else { "the disk is full" };
        run.says(words).says("cargo xtask backup prune");
        let mut left = Vec::new();
        for part in ["objects", "sets"] {
            files(&folder.join(part), &mut left);
        }
        assert_eq!(left.len(), 4, "round {round}, {size} KB: {left:?}");
        let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
        assert_eq!(listed["sets"][0]["id"], first, "round {round}");
        site.xtask(&["backup", "verify"]).succeeds();
        assert!(site.left_over().is_empty(), "{:?}", site.left_over());
    }
    fs::write(&config, shipped).unwrap();
    site.backup(&[]);
    site.xtask(&["backup", "verify", "--deep"]).succeeds();
}
