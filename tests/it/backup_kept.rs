//! What restores keep, what undoes and removes it, and what only looks and must not.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;
use tests::composes::FULL;
use tests::{Site, docker};

const STAMP: &str = "20261123T131500Z";

/// A journal in `phase` of a restore of the service whose data lies at `path`.
fn journal(site: &Site, stack: &str, path: &str, phase: &str) {
    let text = json!({ "set": "x", "phase": phase, "kept": [], "directories": [{
        "service": path, "path": path, "staging": format!("{path}.restore-{STAMP}"),
        "before": format!("{path}.before-restore-{STAMP}"),
        "undone": format!("{path}.undone-{STAMP}") }] });
    let state = site.data().join("state");
    fs::write(state.join(format!("{stack}-restore.json")), text.to_string()).unwrap();
}

/// Every file and folder below `folder`, and when each changed.
fn tree(folder: &Path) -> Vec<(String, SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let changed = entry.metadata().unwrap().modified().unwrap();
        found.push((entry.path().display().to_string(), changed));
        if entry.path().is_dir() {
            found.extend(tree(&entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn who_only_looks_at_a_set_changes_nothing() {
    let site = Site::new("only-look", &[FULL[1]]);
    site.up();
    let set = site.backup(&["--only", "redis"]);
    // What an interrupted restore and a killed run have left.
    journal(&site, "development", "redis", "staging");
    let staged = site.data().join(format!("redis.restore-{STAMP}"));
    fs::create_dir(&staged).unwrap();
    let label = format!("case-interview.helper={}", site.project());
    let image = site.image("redis");
    let sleeping = ["--network", "none", "--entrypoint", "sleep", &image, "600"];
    docker(&[&["run", "--detach", "--label", &label][..], &sleeping].concat());
    let filter = format!("label={label}");
    let helpers = || docker(&["ps", "--quiet", "--filter", &filter]);
    let helper = helpers();
    assert!(!helper.is_empty());
    let is_untouched = || {
        assert!(staged.is_dir(), "what was staged is gone");
        assert_eq!(helpers(), helper);
    };

    let (backups, state) = (site.backups(), site.data().join("state"));
    let before = (tree(&backups), tree(&state));
    for (args, status) in [
        (&["backup", "restore", "dev", &*set, "--dry-run"][..], 0),
        (&["backup", "restore", &set, "--to", "/nowhere/new", "--dry-run"], 0),
        (&["backup", "restore", "dev", "--undo", "--dry-run"], 1),
        (&["backup", "restore", "dev", "--drop", "--dry-run"], 0),
        (&["backup", "verify", "--dry-run"], 0),
        (&["backup", "prune", "--force", "--dry-run"], 0),
        (&["backup", "drill", "--dry-run"], 0),
        (&["backup", "dev", "--dry-run"], 0),
    ] {
        site.xtask(args).ends_with(status);
        is_untouched();
        assert_eq!((tree(&backups), tree(&state)), before, "{args:?}");
    }

    let to = site.root().join("looked");
    let look = ["backup", "restore", &set, "--to", to.to_str().unwrap()];
    site.xtask(&[&look[..], &["--only", "rediss"]].concat())
        .ends_with(2)
        .says("holds no rediss")
        .says("it holds: configuration, redis");
    assert!(!to.exists());
    site.xtask(&[&look[..], &["--only", "redis"]].concat()).succeeds();
    assert!(to.join("redis/dump.rdb").exists() && !to.join("configuration").exists());
    is_untouched();
    assert_eq!(tree(&state), before.1);

    site.xtask(&["up", "dev"]).succeeds().says("undo an interrupted restore");
    assert!(!staged.exists() && helpers().is_empty());
}

#[test]
fn what_a_restore_has_kept_is_named_before_it_is_put_back_or_removed() {
    let site = Site::new("kept", &[FULL[1]]);
    site.up();
    let on_kept = |end: &str| site.xtask(&["backup", "restore", end, "--yes", "--json"]);
    for (end, id) in [("--undo", "restore.nothing-to-undo"), ("--drop", "restore.nothing-to-drop")]
    {
        let nothing = on_kept(end).ends_with(1).says("error: nothing to").json();
        assert_eq!((&nothing["schema"], &nothing["id"]), (&json!("xtask.error/v1"), &json!(id)));
    }
    site.xtask(&["backup", "restore", "dev", "--drop", "--yes"]).succeeds().says("nothing to drop");

    let set = site.backup(&["--only", "redis"]);
    site.redis(&["set", "written", "later"]);
    site.xtask(&["backup", "restore", &set, "--yes"]).succeeds();
    assert_eq!(site.redis(&["get", "written"]), "");

    journal(&site, "monitoring", "prometheus", "done");
    let before = site.data().join(format!("prometheus.before-restore-{STAMP}"));
    fs::create_dir(&before).unwrap();
    for end in ["--undo", "--drop"] {
        on_kept(end).ends_with(2).says(&format!(
            "→ cargo xtask backup restore dev {end}\n  → or cargo xtask backup restore mon {end}"
        ));
    }
    fs::remove_dir(&before).unwrap();
    fs::remove_file(site.data().join("state/monitoring-restore.json")).unwrap();
    assert_eq!(site.redis(&["get", "written"]), "", "nothing was undone");

    let kept = site.kept();
    let redis = site.data().join("redis");
    site.xtask(&["backup", "restore", "--undo"])
        .ends_with(1)
        .says(&format!("this undoes the restore of {set} in {}; nothing is lost", site.project()))
        .says(&format!("goes back to {}; what is there now is kept as", redis.display()))
        .says("nothing was changed");
    let undone = on_kept("--undo").succeeds().json();
    assert_eq!(undone["stacks"][0]["set"], set);
    assert_eq!(site.redis(&["get", "written"]), "later");
    on_kept("--undo").ends_with(1);

    let (undone, kept_before) = (site.kept(), kept);
    assert!(undone.len() == 1 && undone != kept_before, "{undone:?}");
    site.xtask(&["backup", "restore", "--drop"])
        .ends_with(1)
        .says("this removes for good: ")
        .says(&undone[0])
        .says("what stays: the data in use (")
        .says("nothing was changed");
    let dropped = on_kept("--drop").succeeds().json();
    let path = dropped["stacks"][0]["directories"][0].as_str().unwrap().to_owned();
    assert!(path.contains(&undone[0]) && site.kept().is_empty(), "{path}");
    assert_eq!(site.redis(&["get", "written"]), "later");
}
