//! Shipped defaults work together: what the schedule does over days.

use std::fs;

use tests::Site;
use tests::composes::FULL;

use crate::backup_encrypted::{encrypt_to, give_age, key};

#[test]
fn a_drill_without_the_key_is_not_possible_here_and_pages_nobody() {
    let site = Site::new("nokey", &[FULL[1]]);
    give_age(&site);
    let (mine, public) = key(&site, "mine.txt");
    site.up();
    encrypt_to(&site, &public);
    let set = site.backup(&["--only", "redis"]);
    // Without the key every byte can be proven, and so older sets can go.
    site.xtask(&["schedule", "run", "verify"]).succeeds();
    site.xtask(&["schedule", "run", "prune"]).succeeds();
    site.xtask(&["schedule", "run", "drill"]).succeeds().says("drill is not possible here");
    let status = site.xtask(&["schedule", "status"]).succeeds();
    status.says("not possible here").says("cargo xtask backup drill").says("--identity FILE");
    let metrics = || fs::read_to_string(site.data().join("metrics/schedule.prom")).unwrap();
    assert!(!metrics().contains("job_name=\"drill\""), "{}", metrics());

    // With it, the same schedule drills.
    let config = site.root().join("infrastructure/backup.toml");
    let text = fs::read_to_string(&config).unwrap();
    let with_key =
        text.replace("# identity = \"/root/backup-key.txt\"", &format!("identity = \"{mine}\""));
    assert_ne!(text, with_key);
    fs::write(&config, with_key).unwrap();
    site.xtask(&["schedule", "run", "drill"]).succeeds();
    assert!(metrics().contains("job_last_run_failed{job_name=\"drill\"} 0"), "{}", metrics());
    let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    assert_eq!(listed["sets"][0]["id"], *set);
    assert_eq!(listed["sets"][0]["drill"]["ok"], true, "{listed:#}");
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}

#[test]
fn the_shipped_schedule_prunes_what_it_has_made() {
    let site = Site::new("pruned", &[FULL[1]]);
    site.up();
    let config = site.root().join("infrastructure/backup.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("last = 3", "last = 1")).unwrap();
    // Three nights of one day: the schedule keeps the newest of the day.
    for _ in 0..3 {
        site.xtask(&["schedule", "run", "backup"]).succeeds();
        site.xtask(&["schedule", "run", "prune"]).succeeds();
    }
    assert_eq!(site.whole_sets().len(), 1);
    let metrics = fs::read_to_string(site.data().join("metrics/schedule.prom")).unwrap();
    assert!(metrics.contains("job_last_run_failed{job_name=\"prune\"} 0"), "{metrics}");
}
