//! Sets of unknown origin: whoever can write into the backup folder can destroy sets, and no more.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::composes::FULL;
use tests::{Site, debian};
use xtask::backup::origin;
use xtask::host::signature::SigningKey;

/// What the stock program says of the manifest at `path`.
fn minisign(path: &Path, key: &str) -> bool {
    let mut command = Command::new(debian::program("minisign", "minisign"));
    let output = command.args(["-V", "-q", "-P", key, "-m"]).arg(path).output();
    output.expect("minisign runs").status.success()
}

fn encrypt(site: &Site) {
    let config = site.root().join("infrastructure/backup.toml");
    let text = fs::read_to_string(&config).unwrap();
    let key = "recipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]";
    fs::write(&config, text.replace("recipients = []", key)).unwrap();
}

/// A foreign manifest says of our objects what it wants; what is known of them stays.
fn poisons_nothing(site: &Site, id: &str) {
    site.xtask(&["backup", "verify", id]).succeeds();
    let poison = site.forge_unsigned(id, |manifest| {
        manifest["started"] = "2020-12-01T00:00:00Z".into();
        for object in manifest["objects"].as_array_mut().unwrap() {
            object["sha256"] = "f".repeat(64).into();
        }
    });
    site.xtask(&["backup", "verify"]).ends_with(1).says("its SHA-256 is another");
    let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    let sets = listed["sets"].as_array().unwrap();
    let ours = sets.iter().find(|set| set["id"] == *id).unwrap();
    assert!(ours["damaged"] == false && !ours["verified"].is_null(), "{ours}");
    let path = site.manifest(&poison).0;
    fs::remove_file(path).unwrap();
}

#[test]
fn nothing_that_this_machine_has_not_signed_is_restored_without_a_word() {
    let site = Site::new("signed", &[FULL[1]]);
    site.up();
    site.redis(&["set", "kept", "yes"]);
    let id = site.backup(&["--only", "redis"]);
    let public = site.signing_key().public().unwrap();
    let manifest = site.manifest(&id).0;
    assert!(minisign(&manifest, &public), "the stock program verifies the set");
    assert!(
        site.backups()
            .join("state")
            .read_dir()
            .unwrap()
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().contains("signing") })
    );

    let to = site.root().join("looked");
    let to = to.to_str().unwrap();
    let refused = |forged: &str| {
        for args in [
            &["backup", "restore", forged, "--yes"][..],
            &["backup", "restore", forged, "--to", to],
            &["backup", "drill", forged],
        ] {
            site.xtask(args).ends_with(1).says("--accept-unsigned");
        }
        site.xtask(&["backup", "verify", forged]).ends_with(1).says("signed");
        site.xtask(&["backup", "list"]).succeeds().says("NOT SIGNED");
        // It pushes no set out, whatever its date.
        let kept = site.xtask(&["backup", "prune", "--keep-last", "1", "--keep-daily", "0"]);
        kept.succeeds().says(&format!("keep   {id}: ")).says("counts for nothing");
        assert!(!Path::new(to).exists());
    };
    let later = |manifest: &mut serde_json::Value| {
        manifest["started"] = "2099-12-01T00:00:00Z".into();
        manifest["sequence"] = u64::MAX.into();
    };
    let forged = site.forge_unsigned(&id, later);
    refused(&forged);
    // Neither its date nor its place makes it the latest.
    site.redis(&["set", "kept", "spoilt"]);
    let restored = site.xtask(&["backup", "restore", "dev", "latest", "--yes"]).succeeds();
    restored.says(&format!("restored {id}"));
    assert_eq!(site.redis(&["get", "kept"]), "yes");
    poisons_nothing(&site, &id);

    let stranger = SigningKey::random().unwrap();
    let path = site.manifest(&forged).0;
    let signature = stranger.sign(&fs::read(&path).unwrap(), "file:stranger");
    fs::write(origin::path(&path), signature).unwrap();
    refused(&forged);
    let stranger = stranger.public().unwrap();
    assert!(minisign(&path, &stranger) && !minisign(&path, &public));
    let restore = |more: &[&str]| {
        let run = site.xtask(&[&["backup", "restore", &forged, "--to", to], more].concat());
        let _ = fs::remove_dir_all(to);
        run
    };
    restore(&["--signed-by", &public]).ends_with(1);
    restore(&["--signed-by", "nonsense"]).ends_with(2).says("public key of minisign");
    restore(&["--signed-by", &stranger]).succeeds();
    restore(&["--accept-unsigned"]).succeeds();

    let next = site.backup(&["--only", "redis"]);
    assert_eq!(site.manifest(&next).1["sequence"], 2, "a forged place is not gone on from");
    site.xtask(&["backup", "drill", "dev"]).succeeds().says(&next);

    encrypt(&site);
    restore(&["--signed-by", &stranger]).ends_with(1).says("is not encrypted");
    site.xtask(&["backup", "restore", &id, "--to", to]).succeeds();
}

#[test]
fn sets_from_before_signatures_stay_good_and_no_others() {
    let site = Site::new("before-signing", &[FULL[1]]);
    site.up();
    let id = site.backup(&["--only", "redis"]);
    let (path, _) = site.manifest(&id);
    // As an earlier version leaves it.
    fs::remove_file(origin::path(&path)).unwrap();
    fs::remove_file(site.data().join("state/backup-signing.key")).unwrap();
    fs::remove_file(site.data().join("state/backup-signing.pub")).unwrap();
    fs::remove_file(site.data().join("state/backup-sets-before-signing.json")).unwrap();

    site.xtask(&["backup", "verify"]).succeeds();
    site.xtask(&["backup", "drill", &id]).succeeds();
    let forged = site.forge_unsigned(&id, |manifest| {
        manifest["started"] = "2026-01-01T00:00:00Z".into();
    });
    site.xtask(&["backup", "drill", &forged]).ends_with(1).says("is not signed");
    site.xtask(&["backup", "drill", &id]).succeeds();

    // Whoever loses the key, or gives it up, believes no more for that.
    fs::remove_file(site.data().join("state/backup-signing.key")).unwrap();
    site.xtask(&["backup", "drill", &forged]).ends_with(1).says("is not signed");
    site.xtask(&["backup", "drill", &forged]).ends_with(1).says("is not signed");
    site.xtask(&["backup", "drill", &id]).succeeds();

    fs::write(site.data().join("state/backup-sets-before-signing.json"), "[]").unwrap();
    site.xtask(&["backup", "drill", &id]).ends_with(1).says("is not signed");
}
