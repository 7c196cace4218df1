//! What the compose file promises of the servers themselves, seen on the servers.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::composes::FULL;
use tests::{Site, docker, net};

/// Waits until `look` sees something.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_full_redis_makes_room_and_takes_every_write() {
    let site = Site::new("eviction", &[FULL[1]]);
    site.up();
    let ask = |script: &str| {
        let script = format!(
            r#"ask() {{ redis-cli --no-auth-warning -u "$URL" "$@" | tr -d '\r'; }}; {script}"#
        );
        net::client(&site.image("redis"), &site.url("REDIS_URL"), &script)
    };
    assert_eq!(ask("ask config get maxmemory-policy"), "maxmemory-policy\nallkeys-lru");
    // Twice the 64 MB that it may hold.
    let writes = 256;
    let said = ask(&format!(
        "for i in $(seq {writes}); do head -c 500000 /dev/zero | ask -x set key:$i; done | sort | uniq -c"
    ));
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), [&writes.to_string(), "OK"], "{said}");
    let facts = ask("ask info memory; ask info stats; ask info keyspace");
    let fact = |name: &str| {
        let line = facts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("{name}: {facts}"))
    };
    assert!(fact("evicted_keys") >= writes / 2, "{facts}");
    assert_eq!(fact("maxmemory"), 64 << 20);
    assert!(fact("used_memory") < fact("maxmemory") * 11 / 10, "{facts}");
    assert_eq!(ask(&format!("ask exists key:{writes}")), "1", "the newest is there");
    let container = site.development().container("redis");
    let format = "{{.State.Status}} {{.State.OOMKilled}} {{.RestartCount}}";
    assert_eq!(docker(&["inspect", "--format", format, &container]), "running false 0");
}

/// Holds the initialisation until the test lets go.
const SLOW: &str = "until [ -e /held/go ]; do sleep 0.1; done\n";

/// The shorter interval only lets the test see more answers of the health check in less time.
const HELD: &str = r#"
services:
  postgres:
    volumes: ["./held:/held:ro", "./held/slow.sh:/docker-entrypoint-initdb.d/00-slow.sh:ro"]
    healthcheck: { interval: 1s }
"#;

#[test]
fn postgres_is_never_healthy_before_the_server_that_stays_answers() {
    let site = Site::new("init", &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    fs::create_dir(site.folder().join("held")).unwrap();
    fs::write(site.folder().join("held/slow.sh"), SLOW).unwrap();
    fs::write(site.folder().join("held.yml"), HELD).unwrap();
    let mut up = Command::new("docker");
    up.args(["compose", "-f", "docker-compose.yml", "-f", "held.yml", "up", "-d", "postgres"]);
    site.environment(&mut up);
    let output = up.current_dir(site.folder()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let id = site.development().container("postgres");
    let health = || -> Value {
        let text = docker(&["inspect", "--format", "{{json .State.Health}}", &id]);
        serde_json::from_str(&text).unwrap()
    };
    let status = |health: &Value| health["Status"].as_str().unwrap().to_owned();
    // The server of the initialisation answers those inside.
    let script = r#"PGPASSWORD="$POSTGRES_PASSWORD" psql -h /var/run/postgresql -U "$POSTGRES_USER" -Atqc 'select 1'"#;
    until("the server of the initialisation answers", || {
        assert_ne!(status(&health()), "healthy");
        (docker(&["exec", &id, "sh", "-c", script]) == "1").then_some(())
    });
    let answers = |health: &Value| -> BTreeSet<(String, i64)> {
        let of_one = |answer: &Value| {
            let start = answer["Start"].as_str().unwrap().to_owned();
            (start, answer["ExitCode"].as_i64().unwrap())
        };
        health["Log"].as_array().unwrap().iter().map(of_one).collect()
    };
    let before = answers(&health());
    let mut since = BTreeSet::new();
    until("the health check is asked again and again", || {
        let health = health();
        assert_ne!(status(&health), "healthy", "{health}");
        since.extend(answers(&health).difference(&before).cloned());
        (since.len() >= 3).then_some(())
    });
    assert!(since.iter().all(|(_, exit)| *exit != 0), "{since:?}");

    fs::write(site.folder().join("held/go"), "").unwrap();
    until("PostgreSQL is healthy", || (status(&health()) == "healthy").then_some(()));
    let one = "psql \"$URL\" -Atqc 'select 1'";
    let image = docker(&["inspect", "--format", "{{.Config.Image}}", &id]);
    assert_eq!(net::client(&image, &site.url("DATABASE_URL"), one), "1");
}
