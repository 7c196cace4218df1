//! What hangs on the version of a server: run on the neighbours of the pinned one on both sides.

use tests::composes::FULL;
use tests::{Site, on_each_prometheus, on_each_redis};

on_each_redis!(redis_is_backed_up_drilled_and_restored);
on_each_prometheus!(every_rule_and_its_tests_hold);

/// Whose append-only file is one file before 7.0, and a folder from then on.
fn redis_is_backed_up_drilled_and_restored(on: &'static str) {
    let site = Site::new("redis", &[FULL[1]]).on(on);
    site.up();
    site.redis(&["rpush", "list", "one", "two"]);
    site.redis(&["hset", "user:1", "name", "Zoë"]);
    let set = site.backup(&[]);
    site.redis(&["flushall"]);
    site.xtask(&["backup", "drill", &set]).succeeds();
    site.xtask(&["backup", "restore", &set, "--yes"]).succeeds();
    assert_eq!(site.redis(&["lrange", "list", "0", "-1"]), "one\ntwo");
    assert_eq!(site.redis(&["hget", "user:1", "name"]), "Zoë");
    site.redis(&["set", "later", "yes"]);
    site.xtask(&["restart", "dev", "redis"]).succeeds();
    assert_eq!(site.redis(&["get", "later"]), "yes", "the append-only file is read");
    site.xtask(&["status", "dev"]).succeeds();
}

fn every_rule_and_its_tests_hold(on: &'static str) {
    let site = Site::new("rules", &[FULL[1]]).on(on);
    site.xtask(&["env", "init", "monitoring"]).succeeds();
    site.restore_example();
    let check = site.xtask(&["check"]).succeeds().says("every case of the rules passes");
    if Site::is_offline() {
        check.says(on);
    }
}
