//! What is not ours is never taken, changed or removed.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use tests::composes::FULL;
use tests::{Run, Site};

fn up(site: &Site) -> Run {
    site.xtask(&[&["up", "dev"], Site::images()].concat())
}

/// `cargo xtask` with a variable exported.
fn with(site: &Site, name: &str, value: &str, args: &[&str]) -> Run {
    let output = site.command(args).env(name, value).output().unwrap();
    Run::new(format!("{name}={value} cargo xtask {}", args.join(" ")), &output)
}

#[test]
fn a_purge_never_takes_the_data_of_another_project() {
    let site = Site::new("purge", &[FULL[1]]);
    site.up();
    let before = site.containers();
    let version = site.data().join("postgres/PG_VERSION");
    let data = site.data();
    let data = data.to_str().unwrap();
    let purge = ["down", "dev", "--purge", "--yes", "--project", "other"];
    site.xtask(&[&purge[..], &["--data-dir", data]].concat())
        .ends_with(3)
        .says(&format!("of the project {}", site.project()));
    assert!(version.exists());
    // What the shell exports is not what --project means.
    with(&site, "DATA_DIR", data, &purge).succeeds();
    with(&site, "COMPOSE_PROJECT_NAME", site.project(), &purge).succeeds();
    assert!(version.exists());
    assert_eq!(site.containers(), before);
}

#[test]
fn directories_of_other_programs_are_neither_taken_nor_removed() {
    let site = Site::new("foreign", &[FULL[1]]);
    let redis = site.data().join("redis");
    fs::create_dir_all(&redis).unwrap();
    fs::write(redis.join("dump.rdb"), "another's").unwrap();
    chown(&redis, Some(1234), Some(1234)).unwrap();
    for args in [&["setup", "dev"][..], &["up", "dev"], &["down", "dev", "--purge", "--yes"]] {
        site.xtask(args).ends_with(3).says("belongs to 1234:1234").says("another program's");
        assert!(!site.env_file().exists(), "nothing is changed");
    }
    assert_eq!(fs::metadata(&redis).unwrap().uid(), 1234);

    // Even with the right owner it is none that xtask made.
    chown(&redis, Some(999), Some(1000)).unwrap();
    fs::set_permissions(&redis, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    site.xtask(&["down", "dev", "--purge", "--yes"]).ends_with(3).says("was not made by xtask");
    if Site::is_offline() {
        up(&site).ends_with(3).says("which image made the data of redis is unknown");
    }
    assert_eq!(fs::read_to_string(redis.join("dump.rdb")).unwrap(), "another's");

    fs::remove_dir_all(&redis).unwrap();
    let elsewhere = site.data().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &redis).unwrap();
    up(&site).ends_with(3).says("is a symbolic link");
    assert!(site.containers().is_empty());
}

#[test]
fn data_lies_where_it_was_meant_to() {
    let site = Site::new("place", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let good = fs::read_to_string(site.env_file()).unwrap();
    for place in ["/etc", "/", "data", "~/data"] {
        site.set_env("DATA_DIR", place);
        up(&site).ends_with(3).says(&format!("DATA_DIR is `{place}`"));
    }
    fs::write(site.env_file(), &good).unwrap();
    up(&site).succeeds();
    let moved = site.data().with_file_name("moved");
    site.set_env("DATA_DIR", moved.to_str().unwrap());
    up(&site).ends_with(3).says("the data of").says("is in").says("put DATA_DIR=");
    assert!(!moved.exists());

    // A path on the command line is the user's, not the stack's folder's.
    let mut command =
        site.command(&["env", "init", "dev", "--project", "copy", "--data-dir", "here"]);
    let folder = site.root().join("tests");
    assert!(command.current_dir(&folder).output().unwrap().status.success());
    let text = fs::read_to_string(site.folder().join(".env.copy")).unwrap();
    assert!(text.contains(folder.join("here").to_str().unwrap()), "{text}");
}

#[test]
fn another_clone_of_the_repository_keeps_off() {
    let site = Site::new("clone", &[FULL[1]]);
    site.up();
    let before = site.containers();
    let clone = site.root().with_file_name("clone");
    let options = fs_extra::dir::CopyOptions::new().copy_inside(true);
    fs_extra::dir::copy(site.root(), &clone, &options).unwrap();
    let run = |args: &[&str]| {
        let output = site.command(args).current_dir(&clone).output().unwrap();
        Run::new(args.join(" "), &output)
    };
    let here = site.folder().display().to_string();
    run(&["up", "dev"]).ends_with(3).says(&here).says("--project NAME");
    run(&["down", "dev", "--purge", "--yes"]).ends_with(3).says(&here);
    assert_eq!(site.containers(), before);
    // One that has gone has left them to us.
    let gone = site.root().with_file_name("gone");
    fs::rename(site.root(), &gone).unwrap();
    run(&["down", "dev"]).succeeds();
    fs::rename(&gone, site.root()).unwrap();
    assert!(site.containers().is_empty());
}

#[test]
fn a_password_that_was_exported_is_kept() {
    let site = Site::new("exported", &[FULL[1]]);
    let args = [&["up", "dev"], Site::images()].concat();
    with(&site, "POSTGRES_PASSWORD", "exported-4711-and-long-enough", &args).succeeds();
    assert_eq!(site.env("POSTGRES_PASSWORD"), "exported-4711-and-long-enough");
    up(&site).succeeds();
}

/// Takes the stack down, as if no server had ever answered on its data.
fn down_unanswered(site: &Site) {
    site.xtask(&["down", "dev"]).succeeds();
    let record = site.data().join("state/development-data.json");
    let text = fs::read_to_string(&record).unwrap();
    assert!(text.contains("\"answered\": true"), "{text}");
    fs::write(&record, text.replace("true", "false")).unwrap();
}

#[test]
fn who_is_refused_before_the_first_answer_loses_nothing_by_following_the_advice() {
    let site = Site::new("refused", &[FULL[1]]);
    site.up();
    let count = || {
        let script = "psql \"$URL\" -Atqc 'create table if not exists t (); select count(*) from pg_tables where tablename = $$t$$'";
        tests::net::client(&site.image("postgres"), &site.url("DATABASE_URL"), script)
    };
    assert_eq!(count(), "1");

    down_unanswered(&site);
    site.set_env("POSTGRES_PASSWORD", "another-4711-and-long-enough");
    let run = up(&site)
        .ends_with(1)
        .says("refuses the credentials")
        .says("PostgreSQL says: password authentication failed")
        .says("cargo xtask env set-password dev postgres");
    assert!(!run.stderr.contains("--purge"), "{}", run.stderr);
    site.xtask(&["env", "set-password", "dev", "postgres"]).succeeds();
    up(&site).succeeds();
    assert_eq!(count(), "1");

    down_unanswered(&site);
    site.set_env("POSTGRES_DB", "never_made");
    let run = up(&site)
        .ends_with(1)
        .says("PostgreSQL says: database \"never_made\" does not exist")
        .says("if its first start was cut off");
    assert!(!run.stderr.contains("--purge"), "{}", run.stderr);
    let advice = run.stderr.split("sudo ").nth(1).expect("a way to start anew");
    let rename = advice.split(", then").next().unwrap();
    site.xtask(&["down", "dev"]).succeeds();
    let renamed = std::process::Command::new("sh").args(["-ec", rename]).status().unwrap();
    assert!(renamed.success(), "{rename}");
    up(&site).succeeds();
    let beside = fs::read_dir(site.data()).unwrap().flatten();
    let kept = beside.filter(|entry| entry.file_name().to_string_lossy().starts_with("postgres."));
    let kept: Vec<_> = kept.map(|entry| entry.path().join("PG_VERSION").exists()).collect();
    assert_eq!(kept, [true]);
}

#[test]
fn who_may_not_use_the_engine_is_told_how_to() {
    let mut site = Site::new("group", &[FULL[1]]);
    site.run_as(4322, 4322);
    up(&site).ends_with(3).says("you may not use the Docker engine").says("usermod -aG docker");
    assert!(!Path::new(&site.env_file()).exists());
}
