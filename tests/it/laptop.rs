//! A machine on which nothing runs by itself, by choice.

use std::fs;

use tests::Site;
use tests::composes::FULL;

#[test]
fn what_is_off_by_choice_is_on_record_and_said() {
    let site = Site::new("laptop", &[FULL[1]]);
    site.up();
    let record = fs::read_to_string(site.data().join("metrics/schedule-wanted.prom")).unwrap();
    assert!(record.ends_with("case_interview_schedule_wanted{} 0\n"), "{record}");
    site.xtask(&["doctor", "dev", "-v"]).succeeds().says("off by choice").says("schedule install");

    let quiet = site.xtask(&["urls", "dev"]).succeeds();
    assert!(!quiet.stderr.contains("down"), "{}", quiet.stderr);
    let inbox = site.url("MAILHOG_URL");
    assert!(!inbox.ends_with('/'), "a path can be appended: {inbox}");
    site.xtask(&["down", "dev"]).succeeds();
    let down = site.xtask(&["urls", "dev"]).succeeds();
    down.says("postgres, redis, mailhog are down: cargo xtask up dev");
}
