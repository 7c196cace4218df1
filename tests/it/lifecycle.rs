//! The stack's life: from nothing to three services that answer, and back.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tests::composes::{Compose, FULL, SMOKE};
use tests::{Site, net};

/// Real clients, with the printed URLs, from outside the containers.
fn write_and_read(site: &Site, word: &str) {
    let set = format!(
        "psql \"$URL\" -qc \"create table if not exists words (word text); insert into words values ('{word}')\""
    );
    net::client(&site.image("postgres"), &site.url("DATABASE_URL"), &set);
    let push = format!("redis-cli --no-auth-warning -u \"$URL\" rpush words {word}");
    assert_eq!(net::client(&site.image("redis"), &site.url("REDIS_URL"), &push), "1");
    net::send_mail(site.port("MAILHOG_SMTP_PORT"), word);
    let inbox = net::get(site.port("MAILHOG_UI_PORT"), "/api/v2/messages");
    assert!(inbox.contains(word), "{inbox}");
}

fn words(site: &Site) -> (String, String) {
    let postgres = net::client(
        &site.image("postgres"),
        &site.url("DATABASE_URL"),
        "psql \"$URL\" -Atqc 'select word from words'",
    );
    let redis = net::client(
        &site.image("redis"),
        &site.url("REDIS_URL"),
        "redis-cli --no-auth-warning -u \"$URL\" lrange words 0 -1",
    );
    (postgres, redis)
}

fn whole_life(compose: Compose, on: [&str; 2]) {
    let site = Site::new(&format!("life-{}", compose.word()), &[compose]).on(on[0]).on(on[1]);
    let run = site.up();
    assert!(run.stdout.contains("postgresql://postgres:***@127.0.0.1:"), "{}", run.stdout);
    write_and_read(&site, "kept");

    let before = site.containers();
    site.xtask(&["up", "dev"]).succeeds();
    assert_eq!(site.containers(), before, "a second up recreates nothing");

    let status = site.xtask(&["status", "dev", "--json"]).succeeds().json();
    for service in status["services"].as_array().unwrap() {
        assert_eq!(service["state"], "running", "{service}");
        assert_eq!(service["offline"], Site::is_offline(), "{service}");
        assert!(service["memory_limit_bytes"].as_u64().unwrap() > 0, "{service}");
        assert!(service["memory_bytes"].as_u64().unwrap() > 0, "{service}");
        assert!(service["cpu_percent"].as_f64().unwrap() >= 0.0, "{service}");
    }
    // Alerts about a stack end by the word of who takes it down.
    let wanted = || fs::read_to_string(site.data().join("metrics/stack-development.prom")).unwrap();
    let series = "case_interview_stack_wanted{stack=\"development\"}";
    assert!(wanted().contains(&format!("{series} 1\n")), "{}", wanted());

    site.xtask(&["restart", "dev", "redis"]).succeeds();
    site.xtask(&["down", "dev"]).succeeds();
    assert!(site.containers().is_empty());
    assert!(wanted().contains(&format!("{series} 0\n")), "{}", wanted());
    site.xtask(&["down", "dev"]).succeeds().says("is down");
    site.up();
    assert_eq!(words(&site), ("kept".to_owned(), "kept".to_owned()), "data survives down and up");

    // A changed configuration reaches the containers, on docker-compose 1.29 too, and what the old
    // one logged stays.
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    site.set_env("REDIS_MAX_MEMORY", "65mb");
    site.up().says("archive the last lines");
    let logged = site.xtask(&["logs", "dev", "redis"]).succeeds().stdout;
    assert!(logged.contains("ready to exit"), "{logged}");
    let rotated = site.xtask(&["rotate-logs", "dev"]).succeeds();
    assert!(!rotated.stderr.contains("was removed"), "{}", rotated.stderr);
    let memory =
        site.xtask(&["shell", "dev", "redis", "--", "config", "get", "maxmemory"]).succeeds();
    assert!(memory.stdout.contains(&(65 << 20).to_string()), "{}", memory.stdout);
    assert_eq!(words(&site).1, "kept");

    site.xtask(&["down", "dev", "--purge"]).ends_with(1).says("nothing was changed");
    assert!(site.data().join("postgres/PG_VERSION").exists());
    site.xtask(&["down", "dev", "--purge", "--yes"]).succeeds();
    assert!(!site.data().join("postgres").exists());
}

#[test]
fn the_stack_lives_on_docker_compose_1() {
    whole_life(FULL[0], ["postgres:13", "redis:6.0"]);
}

#[test]
fn the_stack_lives_on_the_compose_plugin() {
    whole_life(FULL[1], ["postgres:15", "redis:7.0"]);
}

#[test]
fn older_compose_plugins_start_it_too() {
    let site = Site::new("smoke", &[SMOKE[0]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    site.restore_example();
    for compose in SMOKE {
        site.choose(&[compose]);
        site.xtask_without_engine(&["check"]).succeeds().says("is read without a warning");
        site.up();
        site.xtask(&["down", "dev"]).succeeds();
    }
}

#[test]
fn the_plugin_is_preferred_unless_the_other_made_what_runs() {
    let site = Site::new("flavour", &FULL);
    site.up().says("with docker compose 2.40.3");
    site.xtask(&["down", "dev"]).succeeds();
    site.choose(&[Compose::V1]);
    site.up().says("with docker-compose 1.29.2");
    let before = site.containers();
    site.choose(&FULL);
    site.up().says("with docker-compose 1.29.2");
    assert_eq!(site.containers(), before, "another flavour would recreate them all");
    site.choose(&[FULL[1]]);
    site.xtask(&["up", "dev"])
        .ends_with(3)
        .says("were made by Compose 1.29.2")
        .says("cargo xtask down");
    assert_eq!(site.containers(), before);
}

#[test]
fn a_user_who_is_not_root_needs_no_sudo() {
    let uid = 4321;
    let socket = fs::metadata("/var/run/docker.sock").expect("the engine's socket");
    let mut site = Site::new("user", &[FULL[1]]);
    site.run_as(uid, socket.gid());
    site.up();
    write_and_read(&site, "by-a-user");
    for (folder, owner) in [
        ("postgres", (999, 999)),
        ("redis", (999, 1000)),
        ("backups", (uid, uid)),
        ("state", (uid, uid)),
    ] {
        let facts = fs::metadata(site.data().join(folder)).unwrap();
        assert_eq!((facts.uid(), facts.gid()), owner, "{folder}");
    }
    assert_eq!(fs::metadata(site.env_file()).unwrap().uid(), uid);
    site.xtask(&["down", "dev", "--purge", "--yes"]).succeeds();
    assert!(!site.data().join("postgres").exists());
}

#[test]
fn another_user_name_and_another_folder_work_as_well() {
    let site = Site::new("name", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    site.set_env("POSTGRES_USER", "app");
    let mut command = site.command(&[&["up", "dev"], Site::images()].concat());
    let output = command.current_dir(site.folder()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let user = net::client(
        &site.image("postgres"),
        &site.url("DATABASE_URL"),
        "psql \"$URL\" -Atqc 'select current_user'",
    );
    assert_eq!(user, "app");
}

#[test]
fn a_second_project_stands_beside_the_first_and_keeps_off_its_data() {
    let site = Site::new("copy", &[FULL[1]]);
    site.up();
    let options = [&["up", "dev", "--project", site.project()], Site::images()].concat();
    let second = site.xtask(&options).succeeds();
    assert!(second.stdout.contains("postgresql://"), "{}", second.stdout);
    let project = format!("{}-development", site.project());
    let listed =
        site.xtask(&["status", "dev", "--project", site.project(), "--json"]).succeeds().json();
    assert_eq!(listed["services"][0]["state"], "running");
    // The same data directory for both would destroy it.
    let theirs = site.folder().join(format!(".env.{}", site.project()));
    let text = fs::read_to_string(&theirs).unwrap();
    site.xtask(&["down", "dev", "--project", site.project()]).succeeds();
    let shared =
        xtask::stack::dotenv::set(&text, "DATA_DIR", &site.data().display().to_string()).unwrap();
    fs::write(&theirs, shared).unwrap();
    site.xtask(&["up", "dev", "--project", site.project()]).ends_with(3).says(site.project());
    assert!(!site.containers().is_empty(), "{project} must not have touched the first");
}
