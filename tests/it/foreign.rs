//! Documents that somebody else may have written, each an attack: nothing in them is a path, an
//! option or a name that was not looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::composes::FULL;
use tests::{Site, docker};
use xtask::host::digest::sha256;

/// What `change` makes of the set's manifest is refused by whatever reads it, and nothing is
/// written outside.
fn refuses(site: &Site, id: &str, what: &str, change: impl FnOnce(&mut Value)) {
    let original = site.manifest(id).1;
    let to = site.root().join("looked");
    site.forge(id, change);
    site.xtask(&["backup", "verify"]).ends_with(1).says(what);
    // All of them take the way that these take.
    site.xtask(&["backup", "restore", id, "--to", to.to_str().unwrap()])
        .ends_with(1)
        .says("cannot be used")
        .says(what);
    assert!(!to.exists(), "{what}");
    site.forge(id, |manifest| *manifest = original);
}

fn redis(manifest: &mut Value) -> &mut Value {
    let objects = manifest["objects"].as_array_mut().unwrap();
    objects.iter_mut().find(|object| object["service"] == "redis").unwrap()
}

#[test]
fn a_foreign_manifest_leads_nowhere() {
    let site = Site::new("foreign-set", &[FULL[1]]);
    site.up();
    let id = site.backup(&["--only", "redis"]);
    let original = site.manifest(&id).1;
    let outside = site.root().join("outside.d");
    let absolute = outside.to_str().unwrap();
    for service in [absolute, "../../..", "..", ".", "", "a/b", "-rf", "redis\n", ".hidden"] {
        refuses(&site, &id, "is not the name of a service", |set| {
            redis(set)["service"] = service.into()
        });
    }
    refuses(&site, &id, "is not the name of a service", |set| {
        set["services"][0]["name"] = "../../outside.d".into();
    });
    for path in ["objects/../../outside.d", absolute, "objects/redis/../../../x", "state/lock/x"] {
        refuses(&site, &id, "is not the path of an object", |set| redis(set)["path"] = path.into());
    }
    refuses(&site, &id, "is not an object of postgres", |set| {
        redis(set)["service"] = "postgres".into()
    });
    refuses(&site, &id, "twice", |set| {
        let again = set["services"][0].clone();
        set["services"].as_array_mut().unwrap().push(again);
    });
    refuses(&site, &id, "twice", |set| {
        let again = redis(set).clone();
        set["objects"].as_array_mut().unwrap().push(again);
    });
    // Options of `docker run` that would show a container this machine.
    for image in ["--privileged", "--volume=/:/host", "-v/:/host", "../containers/x"] {
        refuses(&site, &id, "is not the name of an image", |set| {
            set["services"][0]["image_id"] = image.into();
        });
        refuses(&site, &id, "is not the name of an image", |set| {
            set["services"][0]["image_digests"] = json!([image]);
        });
    }
    for args in [&["backup", "drill", &id][..], &["backup", "restore", &id, "--yes"]] {
        site.forge(&id, |set| set["services"][0]["image_id"] = "--privileged".into());
        site.xtask(args).ends_with(1).says("is not the name of an image");
    }
    site.forge(&id, |set| *set = original.clone());
    refuses(&site, &id, "is not a SHA-256", |set| redis(set)["sha256"] = "../../x".into());
    refuses(&site, &id, "is not a path below a folder", |set| {
        set["services"][0]["data"] = "../postgres".into();
    });
    assert!(!outside.exists());
    site.xtask(&["backup", "verify"]).succeeds();
}

/// A tar archive of one member, as Python writes it.
fn archive(member: &str) -> Vec<u8> {
    let script = format!(
        "import tarfile,io,sys\nt=tarfile.open(fileobj=sys.stdout.buffer,mode='w|')\ni=tarfile.TarInfo('x')\nd=b'#!/bin/sh'\ni.size=len(d)\n{member}\nt.addfile(i,io.BytesIO(d) if i.size else None)\nt.close()"
    );
    let output = Command::new("python3").args(["-c", &script]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn what_is_unpacked_to_look_at_gives_nobody_anothers_rights() {
    let site = Site::new("foreign-to", &[FULL[1]]);
    site.up();
    let id = site.backup(&["--only", "redis"]);
    let other = "i.uid,i.gid,i.uname,i.gname=12345,12345,'daemon','daemon'";
    for (kind, member) in [
        ("a program", format!("i.mode=0o6755;{other}")),
        ("a directory", format!("i.type=tarfile.DIRTYPE;i.size=0;i.mode=0o7777;{other}")),
        (
            "the directory itself",
            "i.name='./';i.type=tarfile.DIRTYPE;i.size=0;i.mode=0o7777".into(),
        ),
    ] {
        for service in ["redis", "configuration"] {
            let stored = zstd::encode_all(&archive(&member)[..], 3).unwrap();
            site.forge(&id, |set| {
                let objects = set["objects"].as_array_mut().unwrap();
                let object = objects.iter_mut().find(|one| one["service"] == service).unwrap();
                fs::write(site.backups().join(object["path"].as_str().unwrap()), &stored).unwrap();
                object["sha256"] = sha256(&stored).into();
                object["bytes"] = stored.len().into();
                object["content_bytes"] = archive(&member).len().into();
            });
        }
        let to = site.root().join("looked");
        site.xtask(&["backup", "restore", &id, "--to", to.to_str().unwrap()])
            .succeeds()
            .says("without links, devices and set-user-id bits");
        let mut found = 0;
        look(&to, &mut found);
        assert!(found >= 3, "{kind}");
        fs::remove_dir_all(&to).unwrap();
    }
}

/// Whatever lies below is ours, and has no bit beyond permissions.
fn look(path: &Path, found: &mut usize) {
    use std::os::unix::fs::MetadataExt;
    let facts = fs::symlink_metadata(path).unwrap();
    *found += 1;
    assert_eq!(facts.permissions().mode() & 0o7022, 0, "{}", path.display());
    assert!(facts.is_dir() || facts.is_file(), "{}", path.display());
    let ours = fs::metadata("/proc/self").unwrap();
    assert_eq!((facts.uid(), facts.gid()), (ours.uid(), ours.gid()), "{}", path.display());
    if facts.is_dir() {
        fs::read_dir(path).unwrap().flatten().for_each(|entry| look(&entry.path(), found));
    }
}

#[test]
fn a_foreign_journal_or_record_moves_and_removes_nothing() {
    let site = Site::new("foreign-state", &[FULL[1]]);
    site.up();
    site.redis(&["set", "kept", "yes"]);
    site.backup(&["--only", "redis"]);
    let state = site.data().join("state");
    let outside = site.data().parent().unwrap().join("outside");
    fs::write(&outside, "kept").unwrap();

    let journal = state.join("development-restore.json");
    let directory = |path: &str, staging: &str| {
        json!({ "service": "redis", "path": path, "staging": staging,
            "before": "redis.before-restore-20261123T131500Z",
            "undone": "redis.undone-20261123T131500Z" })
    };
    let write = |phase: &str, directories: Value, kept: Value| {
        let text = json!({ "set": "x", "phase": phase, "directories": directories, "kept": kept });
        fs::write(&journal, text.to_string()).unwrap();
    };
    let stamped = "redis.restore-20261123T131500Z";
    for (phase, directories, kept) in [
        ("staging", json!([directory("redis", "../../outside")]), json!([])),
        ("staging", json!([directory("redis", "backups")]), json!([])),
        ("staging", json!([directory("redis", "postgres.restore-20261123T131500Z")]), json!([])),
        ("swapping", json!([directory("backups", stamped)]), json!([])),
        ("swapping", json!([directory("../outside", stamped)]), json!([])),
        ("undone", json!([]), json!(["postgres"])),
        ("undone", json!([]), json!(["../../outside"])),
        ("undone", json!([]), json!(["-rf"])),
    ] {
        write(phase, directories, kept);
        let drop = ["backup", "restore", "dev", "--drop", "--yes"];
        site.xtask(&drop).ends_with(1).says("is not a journal of xtask");
        site.xtask(&["backup", "dev"]).ends_with(1).says("is not a journal of xtask");
    }
    fs::remove_file(&journal).unwrap();

    // Of which files were made for a service, those that are no longer wanted are removed.
    let generated = state.join("development-generated.json");
    let before = fs::read_to_string(&generated).unwrap();
    let mut record: Value = serde_json::from_str(&before).unwrap();
    for (_, made) in record.as_object_mut().unwrap() {
        made["digest"] = "another".into();
        made["written"] = json!(["../../../outside", "../../postgres/PG_VERSION"]);
    }
    fs::write(&generated, record.to_string()).unwrap();
    site.xtask(&["up", "dev"]).ends_with(1).says("is not a path below a folder");
    fs::write(&generated, before).unwrap();

    // Another's container, which stands still for a reason.
    let image = site.image("redis");
    let label = format!("case-interview-test={}", site.project());
    let args = ["run", "--detach", "--rm", "--label", &label, "--entrypoint", "sleep", &image];
    let other = docker(&[&args[..], &["600"]].concat());
    docker(&["pause", &other]);
    let unfinished = state.join("development-backup.json");
    for (container, status) in [(other.as_str(), 0), ("--help", 1), ("../x", 1)] {
        fs::write(&unfinished, json!({ "step": "paused", "container": container }).to_string())
            .unwrap();
        site.xtask(&["up", "dev"]).ends_with(status);
    }
    let paused = docker(&["inspect", "--format", "{{.State.Paused}}", &other]);
    docker(&["rm", "--force", "--volumes", &other]);
    assert_eq!(paused, "true");
    fs::remove_file(&unfinished).unwrap();

    // What a cursor does not know of a file is cut off.
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    let cursor = site.data().join("logs/development/redis/cursor.json");
    let whole = fs::read_to_string(&cursor).unwrap();
    for (name, length) in [("../../../../outside", 0), ("../../../../outside", 2), ("/etc/x", 0)] {
        let mut text: Value = serde_json::from_str(&whole).unwrap();
        text["files"][name] = length.into();
        fs::write(&cursor, text.to_string()).unwrap();
        site.xtask(&["rotate-logs", "dev"]).succeeds().says("is damaged");
    }
    let mut text: Value = serde_json::from_str(&whole).unwrap();
    for (_, position) in text["containers"].as_object_mut().unwrap() {
        position["day"] = "../../../x".into();
    }
    fs::write(&cursor, text.to_string()).unwrap();
    site.xtask(&["rotate-logs", "dev"]).succeeds().says("is damaged");

    assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
    assert!(site.data().join("postgres/PG_VERSION").exists());
    assert_eq!(site.redis(&["get", "kept"]), "yes");
    assert_eq!(site.whole_sets().len(), 1);
}
