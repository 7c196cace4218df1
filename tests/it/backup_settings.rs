//! A set is proven under the settings of use, and in use.

use std::fs;

use tests::Site;
use tests::composes::FULL;

/// About 30 MB of keys.
fn fill(site: &Site) {
    // In parts: the append-only file's buffer takes of the container's memory too.
    let script = "for n = 1, 5000 do redis.call('set', ARGV[1] .. n, string.rep('x', 200)) end";
    for part in 0..20 {
        site.redis(&["eval", script, "0", &format!("key:{part}:")]);
    }
    assert_eq!(site.redis(&["dbsize"]), "100000");
}

#[test]
fn less_memory_than_the_keys_take_is_refused_before_anything_changes() {
    let site = Site::new("less", &[FULL[1]]);
    site.up();
    fill(&site);
    let id = site.backup(&["--only", "redis"]);
    let settings = &site.manifest(&id).1["services"][0]["settings"];
    assert_eq!(settings["REDIS_MAX_MEMORY"], "64mb", "{settings}");
    assert!(settings.get("REDIS_PASSWORD").is_none(), "{settings}");
    let containers = site.containers();

    site.set_env("REDIS_MAX_MEMORY", "16mb");
    let refused = site.xtask(&["backup", "restore", &id, "--yes"]).ends_with(1);
    refused.says("REDIS_MAX_MEMORY is 16mb in ").says("REDIS_MAX_MEMORY=64mb into it");
    // A set of an earlier version does not tell: the server that is started alone does.
    let id = site.forge(&id, |manifest| {
        let service = manifest["services"][0].as_object_mut().unwrap();
        service.remove("settings");
        service["facts"].as_object_mut().unwrap().remove("memory");
    });
    site.xtask(&["backup", "drill", "dev", &id]).ends_with(1).says("REDIS_MAX_MEMORY is 16 MB");
    site.xtask(&["backup", "restore", &id, "--yes"])
        .ends_with(1)
        .says("REDIS_MAX_MEMORY is 16 MB: it would remove some")
        .says("nothing has changed");
    assert_eq!(site.containers(), containers, "nothing was stopped");
    assert!(site.kept().is_empty(), "{:?}", site.kept());

    site.set_env("REDIS_MAX_MEMORY", "64mb");
    site.xtask(&["backup", "restore", &id, "--yes"])
        .succeeds()
        .says("100000 keys in use, 0 removed");
}

#[test]
fn what_the_stacks_own_server_loses_is_told_with_the_way_back() {
    let site = Site::new("loses", &[FULL[1]]);
    site.up();
    fill(&site);
    let id = site.backup(&["--only", "redis"]);
    // What no `.env` tells.
    let compose = site.folder().join("docker-compose.yml");
    let text = fs::read_to_string(&compose).unwrap();
    let small = text.replace("maxmemory $$REDIS_MAX_MEMORY", "maxmemory 16mb");
    assert_ne!(small, text);
    fs::write(&compose, small).unwrap();
    site.xtask(&["backup", "restore", &id, "--yes"])
        .ends_with(1)
        .says("keys, where the set has 100000 or more: it has removed ")
        .says("since its start, as REDIS_MAX_MEMORY has it")
        .says("put the old data back: cargo xtask backup restore dev --undo");
    fs::write(&compose, text).unwrap();
    site.xtask(&["backup", "restore", "dev", "--undo", "--yes"]).succeeds();
    assert_eq!(site.redis(&["dbsize"]), "100000");
}
