//! What backup and restore refuse, each with the way out, and nothing changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use tests::composes::FULL;
use tests::{Site, docker, net};

#[test]
fn a_set_that_does_not_fit_is_refused_before_anything_changes() {
    let site = Site::new("refuse", &[FULL[1]]);
    site.up();
    site.sql("create table here as select 1 as n");
    let id = site.backup(&[]);
    let original = site.manifest(&id).1;
    let containers = site.containers();
    let restore = |id: &str| site.xtask(&["backup", "restore", id, "--yes"]).ends_with(1);

    site.xtask(&["backup", "restore", &id]).ends_with(1).says("type the project's name");

    site.forge(&id, |manifest| manifest["services"][0]["facts"]["major"] = 14.into());
    restore(&id).says("which cannot open its data").says("POSTGRES_IMAGE");
    site.forge(&id, |manifest| *manifest = original.clone());

    let image = "supabase/postgres:14.1.0";
    site.forge(&id, |manifest| manifest["services"][0]["image"] = image.into());
    if Site::is_offline() {
        restore(&id).says("must not be opened by").says(&format!("POSTGRES_IMAGE={image}"));
    }
    site.forge(&id, |manifest| *manifest = original.clone());

    site.forge(&id, |manifest| manifest["services"][0]["facts"]["user"] = "app".into());
    restore(&id).says("POSTGRES_USER is `postgres`").says("POSTGRES_USER=app");
    site.forge(&id, |manifest| *manifest = original.clone());

    let other = site.forge(&id, |manifest| manifest["stack"] = "monitoring".into());
    site.xtask(&["backup", "restore", "dev", &other, "--yes"])
        .ends_with(2)
        .says("is a set of monitoring")
        .says(&format!("cargo xtask backup restore mon {other}"));
    let id = site.forge(&other, |manifest| *manifest = original.clone());

    let monitoring = site.monitoring().project();
    let other = site.forge_another(&id, |manifest| {
        manifest["project"] = monitoring.as_str().into();
        manifest["stack"] = "monitoring".into();
    });
    site.xtask(&["backup", "restore", "latest", "--yes"]).ends_with(2).says(
        "→ cargo xtask backup restore dev latest\n  → or cargo xtask backup restore mon latest",
    );
    site.xtask(&["backup", "restore", "latest", "dev", "--yes"])
        .ends_with(2)
        .says("→ cargo xtask backup restore dev latest\n");
    fs::remove_file(site.manifest(&other).0).unwrap();

    let mailhog = site.env("MAILHOG_IMAGE");
    site.set_env("MAILHOG_IMAGE", "localhost:1/mailhog:1");
    site.xtask(&["backup", "restore", &id, "--yes"])
        .ends_with(3)
        .says("localhost:1/mailhog:1 is missing here and cannot be pulled")
        .says("cargo xtask up dev --offline");
    site.set_env("MAILHOG_IMAGE", &mailhog);

    let huge = 1_u64 << 60;
    site.forge(&id, |manifest| manifest["objects"][0]["content_bytes"] = huge.into());
    restore(&id).says("and the new data beside the old needs about").says("restore dev --drop");
    site.xtask(&["backup", "drill", &id])
        .ends_with(1)
        .says("and the drill needs about")
        .says("on another machine");
    site.forge(&id, |manifest| *manifest = original.clone());

    let full = site.root().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("precious"), "").unwrap();
    let to = full.to_str().unwrap();
    site.xtask(&["backup", "restore", &id, "--to", to]).ends_with(2).says("is not empty");
    site.xtask(&["backup", "restore", "dev", "--undo", "--yes"])
        .ends_with(1)
        .says("no restore that could be undone");

    assert_eq!(site.containers(), containers, "nothing was stopped");
    assert_eq!(site.sql("select n from here"), "1");
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
    let names: Vec<_> = fs::read_dir(site.data()).unwrap().flatten().collect();
    assert!(names.iter().all(|entry| !entry.file_name().to_string_lossy().contains("restore-")));
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_set_is_named_without_doubt() {
    let site = Site::new("name-sets", &[FULL[1]]);
    site.up();
    site.xtask(&["backup", "list"]).succeeds().says("no sets yet");
    site.xtask(&["backup", "show", "latest"]).ends_with(2).says("no set `latest`");
    let first = site.backup(&["--only", "redis"]);
    let second = site.backup(&["--only", "redis"]);
    site.xtask(&["backup", "show", "20"]).ends_with(2).says("several sets begin with `20`");
    let shown = site.xtask(&["backup", "show", "latest", "--json"]).succeeds().json();
    assert_eq!(shown["set"]["id"], second);
    site.xtask(&["backup", "show", &first]).succeeds();
    site.xtask(&["backup", "restore", &first, "--only", "postgres", "--yes"])
        .ends_with(2)
        .says("holds no postgres");
    let (path, _) = site.manifest(&first);
    let mut text = fs::read(&path).unwrap();
    text[40] ^= 1;
    fs::write(&path, text).unwrap();
    site.xtask(&["backup", "restore", &first, "--yes"]).ends_with(1).says("its SHA-256 is not");
    site.xtask(&["backup", "prune", "--force"]).succeeds().says("they stay while it is there");
    site.xtask(&["backup", "verify"]).ends_with(1).says("its SHA-256 is not");
    site.xtask(&["backup", "list"]).succeeds().says("its SHA-256 is not");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn what_does_not_run_is_not_backed_up_and_mistakes_are_named() {
    let site = Site::new("notup", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    site.xtask(&["backup"]).ends_with(1).says("no stack is up");
    site.xtask(&["backup", "dev"]).ends_with(1).says("does not run").says("cargo xtask up dev");
    site.xtask(&["backup", "dev", "--only", "mailhog"]).ends_with(2).says("keeps nothing");
    site.xtask(&["backup", "dev", "--only", "mysql"]).ends_with(2).says("no service `mysql`");
    let config = site.root().join("infrastructure/backup.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("level = 3", "level = 33")).unwrap();
    site.xtask(&["backup", "list"]).ends_with(3).says("not between 1 and 19");
    let key = format!("recipients = [\"age1{}\"]", "q".repeat(58));
    fs::write(&config, text.replace("recipients = []", &key)).unwrap();
    site.up();
    site.xtask(&["backup", "dev"])
        .ends_with(3)
        .says("no program `age` on the PATH")
        .says("apt-get install age");
    assert_eq!(fs::read_dir(site.backups().join("sets")).unwrap().count(), 0);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn what_could_not_be_restored_is_not_backed_up() {
    let site = Site::new("cannot", &[FULL[1]]);
    site.up();
    site.xtask(&["backup", "drill"]).ends_with(1).says("no set to drill");
    let refuses = |service: &str, words: &str, way_out: &str| {
        site.xtask(&["backup", "dev", "--only", service]).ends_with(1).says(words).says(way_out);
        assert!(site.whole_sets().is_empty());
    };
    site.redis(&["config", "set", "dbfilename", "other.rdb"]);
    refuses("redis", "redis saves to ", "set dir and dbfilename back with CONFIG SET");
    site.redis(&["config", "set", "dbfilename", "dump.rdb"]);

    let data = site.data().join("redis");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o500)).unwrap();
    refuses("redis", "redis could not save its data", "cargo xtask logs dev redis");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();

    let postgres = site.development().container("postgres");
    docker(&["exec", "--user", "999:999", &postgres, "mkdir", "-m", "700", "/tmp/space"]);
    site.sql("create tablespace space location '/tmp/space'");
    refuses("postgres", "tablespace(s) of its own", "ALTER TABLE");
    site.sql("drop tablespace space");

    let id = site.backup(&[]);
    site.forge(&id, |manifest| {
        let postgres = &mut manifest["services"][0];
        for name in ["image", "image_id"] {
            postgres[name] = "case-interview-test/nowhere:1".into();
        }
        postgres["image_digests"] = serde_json::json!([]);
    });
    site.xtask(&["backup", "drill", &id]).ends_with(3).says("is not here").says("docker pull");
    site.forge(&id, |manifest| manifest["services"] = serde_json::json!([]));
    site.xtask(&["backup", "restore", &id, "--yes"])
        .ends_with(2)
        .says("holds the configuration alone")
        .says("--to DIR");
}

#[test]
fn a_data_directory_that_cannot_be_renamed_is_refused() {
    let site = Site::new("mountpoint", &[FULL[1]]);
    site.up();
    let id = site.backup(&["--only", "redis"]);
    let data = site.data().join("redis");
    let mount = |program: &str, args: &[&str]| {
        let status = Command::new(program).args(args).arg(&data).status().unwrap();
        assert!(status.success(), "{program}");
    };
    mount("mount", &["-t", "tmpfs", "-o", "uid=999,gid=1000,mode=0700", "none"]);
    let run = site.xtask(&["backup", "restore", &id, "--yes"]);
    mount("umount", &[]);
    run.ends_with(1).says("something is mounted at ").says("--to DIR");
    // A directory of the same disk, which no device number tells.
    let containers = site.containers();
    mount("mount", &["--bind", data.to_str().unwrap()]);
    let run = site.xtask(&["backup", "restore", &id, "--yes"]);
    mount("umount", &[]);
    run.ends_with(1).says("something is mounted at ").says("--to DIR");
    assert_eq!(site.containers(), containers, "nothing was stopped");
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_second_backup_waits_for_the_first_and_a_dead_ones_lock_is_no_obstacle() {
    let site = Site::new("twice", &[FULL[1]]);
    site.up();
    let args = ["backup", "create", "dev", "--json"];
    let spawn =
        || site.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [spawn(), spawn()].map(|child| child.wait_with_output().unwrap());
    for output in &both {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let said: String =
        both.iter().map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).collect();
    assert!(said.contains("waiting for `cargo xtask backup dev` (process "), "{said}");
    let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    assert_eq!(listed["sets"].as_array().unwrap().len(), 2);

    let mut killed = spawn();
    let lock = site.backups().join("state/lock");
    let holder = format!("(process {})", killed.id());
    net::eventually("it has the lock", || fs::read_to_string(&lock).unwrap().contains(&holder));
    killed.kill().unwrap();
    killed.wait().unwrap();
    site.backup(&[]);
    site.xtask(&["backup", "verify"]).succeeds();
}
