//! One bad part does not spoil the whole: what can be backed up is, and the set says what it is without.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};

use tests::composes::FULL;
use tests::{Site, blocks, docker};

#[test]
fn a_stopped_service_does_not_keep_the_others_out_of_a_set_that_says_so() {
    let site = Site::new("incomplete", &[FULL[1]]);
    site.up();
    let whole = site.backup(&[]);
    site.xtask(&["backup", "verify", "dev"]).succeeds();
    docker(&["stop", &site.development().container("redis")]);
    site.xtask(&["backup", "dev", "--dry-run"]).ends_with(1).says("it is without redis");
    site.xtask(&["backup", "dev", "--only", "redis"]).ends_with(1).says("does not run");
    let made = site.xtask(&["backup", "dev", "--json"]).ends_with(1);
    let made =
        made.says("is incomplete: it is without redis").says("cargo xtask backup dev").json();
    let id = made["sets"][0]["id"].as_str().unwrap();
    assert_eq!(made["sets"][0]["missing"][0]["service"], "redis", "{made}");
    assert_eq!(site.whole_sets(), [whole.as_str(), id]);

    let metrics = fs::read_to_string(site.data().join("metrics/backup.prom")).unwrap();
    for (service, result) in [("redis", 0), ("postgres", 1)] {
        let labels = format!("{{stack=\"development\",service=\"{service}\"}}");
        let line = format!("backup_last_result{labels} {result}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    site.xtask(&["backup", "list"]).succeeds().says("INCOMPLETE: no redis");
    site.xtask(&["backup", "drill", "dev"])
        .succeeds()
        .says("redis: not in the set: redis of ")
        .says("as far as was looked at (not: 1)");
    let prune = ["--keep-last", "1", "--keep-daily", "0", "--keep-weekly", "0"];
    site.xtask(&[&["backup", "prune", "--keep-monthly", "0"][..], &prune].concat())
        .succeeds()
        .says(&format!("keep   {whole}: one of the last 1"));
    docker(&["start", &site.development().container("redis")]);
}

#[test]
fn a_damaged_block_is_named_and_the_others_are_backed_up() {
    let site = Site::new("block", &[FULL[1]]);
    let options: &[&str] = if Site::is_offline() { &["--offline"] } else { &[] };
    site.xtask(&[&["up", "monitoring"], options].concat()).succeeds();
    let made = blocks::make(&site, 1..4, 50);
    site.xtask(&["backup", "monitoring"]).succeeds();
    let oldest = made.iter().min().unwrap();
    let chunks = blocks::folder(&site).join(oldest).join("chunks/000001");
    let middle = fs::metadata(&chunks).unwrap().len() * 9 / 10;
    let mut file = fs::OpenOptions::new().write(true).open(&chunks).unwrap();
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.write_all(&[0xff; 16]).unwrap();
    drop(file);
    site.xtask(&["restart", "monitoring", "prometheus"]).succeeds();

    let made = site.xtask(&["backup", "monitoring", "--json"]).ends_with(1);
    let made = made.says("is incomplete: it is without a part of prometheus").json();
    let missing = made["sets"][0]["missing"][0]["why"].as_str().unwrap();
    assert!(missing.contains(oldest) && missing.contains("to mend it"), "{missing}");
    let objects = made["sets"][0]["objects"].as_array().unwrap();
    let services: Vec<_> = objects.iter().map(|one| one["service"].as_str().unwrap()).collect();
    assert!(services.contains(&"prometheus") && services.contains(&"grafana"), "{services:?}");
    assert!(!objects.iter().any(|one| one["path"].as_str().unwrap().contains(oldest.as_str())));
    site.xtask(&["backup", "drill", "monitoring"]).succeeds().says(oldest);
}
