//! Nobody waits for what cannot come: the engine knows, and is asked meanwhile.

use tests::composes::FULL;
use tests::{Site, docker};

#[test]
fn a_cause_that_the_engine_knows_ends_the_wait_and_is_said() {
    let site = Site::new("waiting", &[FULL[1]]);
    site.up();
    site.xtask(&["status", "dev"]).succeeds();
    let redis = site.development().container("redis");
    docker(&["pause", &redis]);
    // Longer than the test may take: it ends by what the engine says.
    let patient = ["--timeout", "100000"];
    site.xtask(&[&["up", "dev"], &patient[..]].concat())
        .ends_with(1)
        .says("redis is paused")
        .says("docker unpause");
    site.xtask(&["status", "dev"]).ends_with(1).says("redis is down").says("cargo xtask up dev");
    docker(&["unpause", &redis]);

    let (old, new) = (site.port("REDIS_PORT"), site.port("REDIS_PORT") + 1);
    site.set_env("REDIS_PORT", &new.to_string());
    site.xtask(&[&["restart", "dev", "redis"], &patient[..]].concat())
        .ends_with(1)
        .says(&format!("redis is on port {old}"))
        .says(&format!("says {new}"))
        .says("cargo xtask up dev");
    let status = site.xtask(&["status", "dev"]).succeeds();
    status.says("redis still runs with the old REDIS_PORT").says("cargo xtask up dev applies");
    site.set_env("REDIS_PORT", &old.to_string());
    site.set_env("POSTGRES_MEM_LIMIT", "900m");
    let status = site.xtask(&["status", "dev", "--json"]).succeeds().json();
    for line in status["services"].as_array().unwrap() {
        let expected = if line["service"] == "postgres" { 1 } else { 0 };
        assert_eq!(line["otherwise"].as_array().unwrap().len(), expected, "{line}");
    }
    site.set_env("POSTGRES_MEM_LIMIT", "1gb");

    docker(&["stop", &redis]);
    site.xtask(&["status", "dev"]).ends_with(1).says("redis is down");
    site.xtask(&["status"]).ends_with(1).says("redis is down");
    site.xtask(&["down", "dev"]).succeeds();
    site.xtask(&["status", "dev"]).ends_with(1);
    site.xtask(&["status"]).ends_with(1).says("no stack is up");
}
