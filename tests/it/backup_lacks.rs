//! What a set does not hold is said when it is made, drilled and restored.

use tests::Site;
use tests::composes::FULL;

#[test]
fn what_a_set_does_not_hold_is_said_when_it_is_made_drilled_and_restored() {
    let site = Site::new("lacks", &[FULL[1]]);
    site.up();
    let whole = site.xtask(&["backup", "dev"]).succeeds();
    assert!(!whole.stderr.contains("not in the set"), "{}", whole.stderr);

    site.sql("create unlogged table passing as select 1 as n");
    site.sql("select pg_create_physical_replication_slot('standby')");
    site.sql("create database form is_template true");
    site.sql("create database closed allow_connections false");
    site.redis(&["acl", "setuser", "reader", "on", ">secret", "+get", "~*"]);
    site.redis(&["script", "load", "return 1"]);
    let words = [
        "postgres: not in the set: the rows of 1 unlogged table of case_interview_platform",
        "postgres: not in the set: replication slots (standby)",
        "postgres: not in the set: dumps of closed, form, which are templates",
        "redis: not in the set: users made with ACL SETUSER (reader)",
        "redis: not in the set: 1 script that SCRIPT LOAD or EVAL has cached",
    ];
    let made = site.xtask(&["backup", "dev", "--logical"]).succeeds();
    assert!(!made.stderr.contains("secret") && !made.stdout.contains("secret"));
    words.into_iter().fold(made, |told, words| told.says(words));
    for args in [["show", "dev", "latest"], ["drill", "dev", "latest"]] {
        let told = site.xtask(&[&["backup"][..], &args].concat()).succeeds();
        words.into_iter().fold(told, |told, words| told.says(words));
    }
    let asked = site.xtask(&["backup", "restore", "dev", "latest"]).ends_with(1);
    words.into_iter().fold(asked, |told, words| told.says(words));
}
