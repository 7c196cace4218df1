//! Which set is the latest: not the one that a wrong clock has dated, and none in silence in the
//! place of one that is damaged.

use std::fs;

use tests::Site;
use tests::composes::FULL;

#[test]
fn a_set_dated_years_ahead_holds_nothing_up_and_is_not_the_latest() {
    let site = Site::new("ahead", &[FULL[1]]);
    site.up();
    site.redis(&["set", "word", "first"]);
    let first = site.backup(&["--only", "redis"]);
    let ahead = site.forge_another(&first, |manifest| {
        manifest["started"] = "2099-01-01T00:00:00Z".into();
    });
    site.redis(&["set", "word", "last"]);
    site.xtask(&["backup", "dev", "--only", "redis"]).succeeds().says(&ahead).says("ahead of now");
    let sets = site.whole_sets();
    let [.., last] = sets.as_slice() else { panic!("{sets:?}") };
    assert!(sets.len() == 3 && *last < ahead, "{sets:?}");

    let listed = site.xtask(&["backup", "list", "dev"]).succeeds();
    let listed = listed.says("ahead of now").says("timedatectl");
    let lines: Vec<_> = listed.stdout.lines().collect();
    assert!(lines[1].starts_with(last) && lines[2].starts_with(&ahead), "{lines:?}");
    assert!(lines[2].contains(" h ahead  "), "{lines:?}");
    let json = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    assert!(json["sets"][1]["age_seconds"].as_i64().unwrap() < 0, "{json}");
    let shown = site.xtask(&["backup", "show", "dev", "latest", "--json"]).succeeds().json();
    assert_eq!(shown["set"]["id"], *last);
    site.xtask(&["backup", "verify", "dev"]).succeeds().says(&ahead).says("ahead of now");
    assert!(site.xtask(&["doctor", "dev"]).stdout.contains("ahead of now"));
    let metrics = fs::read_to_string(site.data().join("metrics/backup.prom")).unwrap();
    let success = "backup_last_success_timestamp_seconds{stack=\"development\",service=\"redis\"}";
    let line = metrics.lines().find(|line| line.contains(success)).unwrap();
    let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(value > 0.0 && value < 4e9, "an alert would wait until 2099: {line}");

    let keep = ["--keep-last", "1", "--keep-daily", "1", "--keep-weekly", "0"];
    site.xtask(&[&["backup", "prune", "dev", "--keep-monthly", "0"][..], &keep].concat())
        .succeeds()
        .says(&format!("keep   {last}: one of the last 1"))
        .says(&format!("keep   {ahead}: one of the last 2 whose date cannot be believed"));
    site.redis(&["set", "word", "lost"]);
    site.xtask(&["backup", "restore", "dev", "latest", "--yes"]).succeeds();
    assert_eq!(site.redis(&["get", "word"]), "last");
}

#[test]
fn a_damaged_newest_set_is_named_with_what_would_be_taken_and_loses_no_object() {
    let site = Site::new("substitute", &[FULL[1]]);
    site.up();
    site.redis(&["set", "word", "first"]);
    let first = site.backup(&["--only", "redis"]);
    site.redis(&["set", "word", "second"]);
    let second = site.backup(&["--only", "redis"]);
    let path = site.manifest(&second).0;
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    fs::write(&path, damaged).unwrap();
    site.redis(&["set", "word", "now"]);

    for command in ["restore", "drill", "verify", "show"] {
        site.xtask(&["backup", command, "dev", "latest"])
            .ends_with(1)
            .says("the newest set of development is damaged")
            .says(&second)
            .says(&format!("cargo xtask backup {command} dev {first}"));
    }
    site.xtask(&["backup", "restore", &second[..13], "--yes"]).ends_with(1).says("cannot be used");
    assert_eq!(site.redis(&["get", "word"]), "now");
    let instead = format!("the newest of its stack that can be used is {first}");
    site.xtask(&["backup", "list"]).succeeds().says(&second).says(&instead);
    site.xtask(&["backup", "drill", "dev"])
        .ends_with(1)
        .says(&instead)
        .says(&format!("{first} restores"));
    let verified = site.xtask(&["backup", "verify"]).ends_with(1).says(&instead);
    assert!(!verified.stderr.contains("remove it"), "{}", verified.stderr);
    assert!(!verified.stderr.contains("prune"), "{}", verified.stderr);
    site.xtask(&["backup", "verify", "dev", &first]).succeeds();
    site.xtask(&["backup", "prune", "--force"]).succeeds().says("they stay while it is there");

    fs::write(&path, whole).unwrap();
    assert_eq!(site.whole_sets(), [first, second]);
    site.xtask(&["backup", "restore", "dev", "latest", "--yes"]).succeeds();
    assert_eq!(site.redis(&["get", "word"]), "second");
}
