//! Backups end to end: under load, restored, undone, drilled, pruned.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tests::composes::FULL;
use tests::{Site, on_each_postgres, root};

on_each_postgres!(
    a_set_made_under_load_brings_back_what_was_committed_and_undo_takes_it_away_again
);

/// A program in a container on the host's network, stopped when dropped.
struct Load {
    child: Child,
    name: String,
}

impl Load {
    fn start(site: &Site, what: &str, image: &str, url: &str, script: &str) -> Self {
        let name = format!("{}-load-{what}", site.project());
        let child = Command::new("docker")
            .args(["run", "--rm", "--name", &name, "--network", "host", "--env", "URL"])
            .args(["--entrypoint", "sh", image, "-euc", script])
            .env("URL", url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker runs");
        Self { child, name }
    }

    /// It ends at the first error of the server.
    fn is_undisturbed(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.name]).output();
        let _ = self.child.wait();
    }
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed().as_secs() < 120, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn a_set_made_under_load_brings_back_what_was_committed_and_undo_takes_it_away_again(
    on: &'static str,
) {
    let site = Site::new("restore", &[FULL[1]]).on(on);
    site.up();
    let (postgres, redis) = (site.image("postgres"), site.image("redis"));
    let (database, cache) = (site.url("DATABASE_URL"), site.url("REDIS_URL"));
    tests::net::client(
        &postgres,
        &database,
        "pgbench --initialize --quiet --foreign-keys \"$URL\" 2>&1",
    );
    let mut pgbench = Load::start(
        &site,
        "pg",
        &postgres,
        &database,
        "exec pgbench --client 2 --time 3600 --no-vacuum \"$URL\"",
    );
    let count = "while :; do redis-cli --no-auth-warning -u \"$URL\" incr counter | grep -qx '[0-9]*'; done";
    let mut counter = Load::start(&site, "redis", &redis, &cache, count);
    wait_for("load", || site.sql("select count(*) > 20 from pgbench_history") == "t");
    wait_for("load", || site.redis(&["get", "counter"]).parse::<u64>().is_ok_and(|n| n > 5));

    let committed: u64 = site.sql("select count(*) from pgbench_history").parse().unwrap();
    let counted: u64 = site.redis(&["get", "counter"]).parse().unwrap();
    let id = site.backup(&[]);
    assert!(pgbench.is_undisturbed() && counter.is_undisturbed(), "the backup disturbed its load");
    let drill = site.xtask(&["backup", "drill", &id, "--json"]).succeeds().json();
    assert_eq!(drill["drills"][0]["result"]["ok"], true);
    assert!(drill["drills"][0]["result"]["restore_seconds"].as_f64().unwrap() > 0.0);
    let counted_later: u64 = site.redis(&["get", "counter"]).parse().unwrap();

    site.sql("create table only_now (n int)");
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    site.set_env("POSTGRES_PASSWORD", "another-password-of-today");
    let restored = site.xtask(&["backup", "restore", &id[..16], "--yes"]).succeeds();
    assert!(restored.stdout.contains("the data from before is kept"), "{}", restored.stdout);
    drop((pgbench, counter));
    // The last words of a container that has gone.
    site.xtask(&["logs", "dev", "redis"]).succeeds().says("bye bye");

    let history: u64 = site.sql("select count(*) from pgbench_history").parse().unwrap();
    assert!(history >= committed, "{history} of {committed} transactions are there");
    let sums = "select count(distinct s) from (select sum(abalance) s from pgbench_accounts union all select sum(bbalance) from pgbench_branches union all select sum(tbalance) from pgbench_tellers union all select sum(delta) from pgbench_history) as sums";
    assert_eq!(site.sql(sums), "1", "a transaction is there in part");
    assert_eq!(site.sql("select count(*) from pg_constraint where not convalidated"), "0");
    let now: u64 = site.redis(&["get", "counter"]).parse().unwrap();
    assert!((counted..=counted_later).contains(&now), "{counted} <= {now} <= {counted_later}");
    assert_eq!(site.sql("select to_regclass('only_now') is null"), "t");
    // What Redis was given outlives its next start, append-only file and all.
    site.xtask(&["restart", "dev", "redis"]).succeeds();
    assert_eq!(site.redis(&["get", "counter"]), now.to_string());

    site.xtask(&["backup", "restore", "--undo"]).ends_with(1).says("nothing was changed");
    // A restore that comes to nothing leaves this one to be undone.
    let forged = site.forge(&id, |manifest| {
        let services = manifest["services"].as_array_mut().unwrap();
        let postgres = services.iter_mut().find(|service| service["name"] == "postgres").unwrap();
        let databases = postgres["facts"]["databases"].as_array_mut().unwrap();
        databases.push(json!({"name": "gone", "tables": []}));
    });
    site.xtask(&["backup", "restore", &forged, "--yes"]).ends_with(1).says("nothing has changed");
    // The data from before has the password from before.
    let password = database.split([':', '@']).nth(2).unwrap();
    site.set_env("POSTGRES_PASSWORD", password);
    site.xtask(&["backup", "restore", "--undo", "--yes"]).succeeds();
    assert_eq!(site.sql("select to_regclass('only_now') is not null"), "t");
    assert_eq!(site.kept().len(), 2);
    site.xtask(&["backup", "restore", "--drop", "--yes"]).succeeds();
    assert!(site.kept().is_empty());
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn everything_works_for_a_user_in_the_docker_group_and_nothing_can_be_read_by_others() {
    let uid = 4322;
    let socket = fs::metadata("/var/run/docker.sock").expect("the engine's socket");
    let mut site = Site::new("backupuser", &[FULL[0]]);
    site.run_as(uid, socket.gid());
    site.up();
    site.sql("create table kept as select generate_series(1, 100) as n");
    site.redis(&["set", "kept", "yes"]);
    let id = site.backup(&["--logical"]);
    each(&site.backups(), &mut |path| {
        let facts = fs::metadata(path).unwrap();
        assert_eq!(facts.uid(), uid, "{}", path.display());
        assert_eq!(facts.permissions().mode() & 0o077, 0, "{}", path.display());
    });
    site.xtask(&["backup", "verify", "--deep"]).succeeds();
    site.xtask(&["backup", "drill"]).succeeds();
    site.sql("drop table kept");
    site.redis(&["del", "kept"]);
    site.xtask(&["backup", "restore", "latest", "--yes"]).succeeds();
    assert_eq!(site.sql("select count(*) from kept"), "100");
    assert_eq!(site.redis(&["get", "kept"]), "yes");
    let to = site.root().join("looked");
    site.xtask(&["backup", "restore", &id, "--to", to.to_str().unwrap()]).succeeds();
    assert!(to.join("postgres/PG_VERSION").is_file() && to.join("redis/dump.rdb").is_file());
    let env = fs::read_to_string(to.join("configuration/docker/development/.env")).unwrap();
    assert!(env.contains(&site.env("POSTGRES_PASSWORD")));
    let dump = fs::read_dir(to.join("postgres")).unwrap().flatten().map(|entry| entry.path());
    let dump = dump.into_iter().find(|path| path.to_string_lossy().contains("dump-case_interview"));
    assert!(fs::read(dump.unwrap()).unwrap().starts_with(b"PGDMP"));
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}

fn each(folder: &std::path::Path, look: &mut impl FnMut(&std::path::Path)) {
    look(folder);
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() { each(&entry.path(), look) } else { look(&entry.path()) }
    }
}

#[test]
fn a_drill_fails_on_a_set_that_is_not_what_its_manifest_says() {
    let site = Site::new("drill", &[FULL[1]]);
    site.up();
    let empty = site.backup(&[]);
    site.sql("create table kept as select generate_series(1, 100) as n");
    site.sql(r#"create database "it's a \ ""name""""#);
    site.redis(&["mset", "one", "1", "two", "2", "soon", "gone"]);
    site.redis(&["expire", "soon", "3600"]);
    let id = site.backup(&[]);
    let services = site.manifest(&id).1["services"].take();
    assert!(
        services.to_string().contains(r#""name":"public.kept","rows":[100,100]"#),
        "{services}"
    );
    site.xtask(&["backup", "drill", &id])
        .succeeds()
        .says("3 databases and 1 table are there; the rows of 1 are as many");
    let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    assert_eq!(listed["sets"][0]["drill"]["ok"], true, "{listed}");

    let to = site.root().join("looked");
    site.xtask(&["backup", "restore", &id, "--to", to.to_str().unwrap()]).succeeds();
    assert!(to.join("postgres/PG_VERSION").is_file(), "root too can look");
    let metrics = fs::read_to_string(site.data().join("metrics/backup.prom")).unwrap();
    for line in [
        "case_interview_backup_last_result{stack=\"development\",service=\"postgres\"} 1",
        "case_interview_backup_last_drill_result{stack=\"development\"} 1",
        "case_interview_backup_sets{stack=\"development\"} 2",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}\n{metrics}");
    }
    let listed = fs::read_to_string(root().join("docs/infrastructure-metrics.md")).unwrap();
    for row in listed.lines().filter(|row| row.starts_with("| `case_interview_backup_")) {
        let name = row.split('`').nth(1).unwrap();
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name}\n{metrics}");
    }

    // The objects of a time when there was nothing.
    let objects = site.manifest(&empty).1["objects"].clone();
    let forged = site.forge(&id, |manifest| manifest["objects"] = objects);
    let drill = site.xtask(&["backup", "drill", &forged, "--json"]).ends_with(1);
    assert!(drill.stderr.contains("table public.kept is missing"), "{}", drill.stderr);
    assert!(
        drill.stderr.contains("it is empty, where the original held 3 keys"),
        "{}",
        drill.stderr
    );
    site.xtask(&["backup", "restore", &forged, "--yes"]).ends_with(1).says("nothing has changed");
    assert_eq!(site.sql("select count(*) from kept"), "100");
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}

#[test]
fn prune_keeps_what_it_must() {
    let site = Site::new("prune", &[FULL[1]]);
    site.up();
    let first = site.backup(&["--only", "redis"]);
    let second = site.backup(&["--only", "redis"]);
    let whole = site.backup(&[]);
    let third = site.backup(&["--only", "redis"]);
    let keep_one = [
        "backup",
        "prune",
        "--keep-last",
        "1",
        "--keep-daily",
        "0",
        "--keep-weekly",
        "0",
        "--keep-monthly",
        "0",
    ];
    let sets = || -> Vec<String> {
        let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
        listed["sets"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|set| set["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let dry = site.xtask(&[&keep_one[..], &["--dry-run"]].concat()).succeeds();
    assert!(dry.stdout.contains(&format!("remove {first}")), "{}", dry.stdout);
    assert_eq!(sets(), [&*first, &second, &whole, &third]);
    let stray = site.backups().join("objects/redis/.20260101T000000Z-gone.partial");
    let ours = format!("objects/redis/.20260101T000000Z-{}-data.tar.zst.x.partial", site.project());
    fs::write(&stray, "somebody else's").unwrap();
    fs::write(site.backups().join(&ours), "left by a killed run").unwrap();
    site.xtask(&keep_one).succeeds();
    assert_eq!(sets(), [&*whole, &third], "a backup of one service pushes no whole set out");
    let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    assert!(listed["sets"][0]["verified"].is_string(), "the newest was proven: {listed:#}");
    assert!(stray.exists() && !site.backups().join(ours).exists());
    site.xtask(&["backup", "verify", "--deep"]).succeeds();

    // A damaged set counts for nothing, and the last good one stays whatever is asked for.
    let fourth = site.backup(&["--only", "redis"]);
    let object = site.manifest(&fourth).1["objects"][0]["path"].as_str().unwrap().to_owned();
    fs::write(site.backups().join(object), "damaged").unwrap();
    site.xtask(&keep_one).ends_with(1).says("is damaged").says("--force");
    let keep_none = [&keep_one[..3], &["0"], &keep_one[4..], &["--force"]].concat();
    site.xtask(&keep_none).succeeds();
    assert_eq!(sets(), [whole.clone(), third]);

    // Much less than before: somebody should look first.
    let small = site.backup(&[]);
    site.forge(&whole, |manifest| {
        for object in manifest["objects"].as_array_mut().unwrap() {
            object["content_bytes"] = (object["content_bytes"].as_u64().unwrap() * 3).into();
        }
    });
    site.xtask(&keep_one).ends_with(1).says("of the newest set").says(&small);
    site.xtask(&[&keep_one[..], &["--force"]].concat()).succeeds();
    assert!(!sets().contains(&whole));
}
