//! No secret is shown: the actual values are looked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tests::composes::FULL;
use tests::{Run, Site, docker};

/// Every process's arguments, as anybody on the host sees them.
fn arguments() -> String {
    let output = Command::new("ps").args(["-eww", "-o", "args"]).output().expect("ps runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const SECRETS: [&str; 4] = [
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "POSTGRES_EXPORTER_PASSWORD",
    "REDIS_EXPORTER_PASSWORD",
];

/// Services and the password that their images take from the environment alone. No other service
/// has one there.
const IN_ENVIRONMENT: [(&str, &str); 2] =
    [("postgres", "POSTGRES_PASSWORD"), ("redis", "REDIS_PASSWORD")];

#[test]
fn no_secret_in_arguments_output_files_or_what_the_engine_tells() {
    for compose in FULL {
        let site = Site::new(&format!("secret-{}", compose.word()), &[compose]);
        site.xtask(&["env", "init", "dev"]).succeeds();
        let secrets = SECRETS.map(|name| (name, site.env(name)));
        let assert_hidden = |place: &str, text: &str| {
            for (name, secret) in &secrets {
                assert!(!text.contains(secret.as_str()), "{name} stands in {place}: {text}");
            }
        };
        // What others may read: the repository, the data, temporary files.
        let everything = site.root().parent().unwrap().to_owned();
        let temporary = everything.join("tmp");
        fs::create_dir(&temporary).unwrap();
        let assert_files_hidden = |folder: &Path| {
            each_file(folder, &mut |path| {
                let readable =
                    fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o077 != 0);
                if let (true, Ok(text)) = (readable, fs::read(path)) {
                    assert_hidden(&path.display().to_string(), &String::from_utf8_lossy(&text));
                }
            });
        };
        let xtask = |args: &[&str]| {
            let output = site.command(args).env("TMPDIR", &temporary).output().unwrap();
            Run::new(args.join(" "), &output)
        };
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut seen = String::new();
                while !over.load(Ordering::Relaxed) {
                    seen.push_str(&arguments());
                    assert_files_hidden(&temporary);
                }
                seen
            });
            let run = xtask(&[&["up", "dev", "--verbose"], Site::images()].concat());
            over.store(true, Ordering::Relaxed);
            assert_hidden("ps during up", &watch.join().unwrap());
            let run = run.succeeds();
            assert_hidden("up --verbose", &format!("{}{}", run.stdout, run.stderr));
        });
        assert_hidden("ps afterwards", &arguments());
        assert_only_in_own_environment(&site, &secrets);
        // A failing statement with a password must not reach the server's log either.
        let statement = format!("alter role nobody_here password '{}'", secrets[0].1);
        xtask(&["shell", "dev", "postgres", "--", "-c", &statement]);
        for args in [
            &["status", "dev"][..],
            &["status", "dev", "--json", "-v"],
            &["urls", "dev"],
            &["urls", "dev", "--json"],
            &["logs", "dev"],
            &["doctor", "dev", "-v"],
            &["doctor", "dev", "--json"],
            &["env", "check", "dev", "-v"],
            &["setup", "dev", "--dry-run", "-v"],
            &["up", "dev", "--dry-run", "--json"],
            &["restart", "dev", "-v"],
            &["down", "dev", "-v"],
        ] {
            let run = xtask(args).succeeds();
            assert_hidden(&args.join(" "), &format!("{}{}", run.stdout, run.stderr));
        }
        assert!(site.data().join("postgres/PG_VERSION").is_file());
        assert_files_hidden(&everything);
    }
}

/// What `docker inspect` says of every container on the engine: `IN_ENVIRONMENT` and no more.
fn assert_only_in_own_environment(site: &Site, secrets: &[(&str, String)]) {
    let ids = docker(&["ps", "--all", "--quiet", "--no-trunc"]);
    let ids: Vec<_> = ids.split_whitespace().collect();
    let facts = docker(&[&["inspect"], ids.as_slice()].concat());
    let mut containers: Vec<Value> = serde_json::from_str(&facts).unwrap();
    let mut found = Vec::new();
    for container in &mut containers {
        let environment = container["Config"]["Env"].take();
        let labels = &container["Config"]["Labels"];
        let of_project = labels["com.docker.compose.project"] == site.project();
        let service = labels["com.docker.compose.service"].as_str().unwrap_or_default().to_owned();
        let lines = environment.as_array().into_iter().flatten().filter_map(Value::as_str);
        for (line, (name, secret)) in
            lines.flat_map(|line| secrets.iter().map(move |secret| (line, secret)))
        {
            if line.contains(secret.as_str()) {
                assert!(of_project && line == format!("{name}={secret}"), "{name}: {container}");
                found.push((service.clone(), (*name).to_owned()));
            }
        }
        let rest = container.to_string();
        for (name, secret) in secrets {
            assert!(!rest.contains(secret.as_str()), "{name} stands in a container: {rest}");
        }
    }
    found.sort();
    let expected = IN_ENVIRONMENT.map(|(service, name)| (service.to_owned(), name.to_owned()));
    assert_eq!(found, expected);
}

fn each_file(folder: &Path, look: &mut impl FnMut(&Path)) {
    // Temporary files vanish while we look.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() { each_file(&path, look) } else { look(&path) }
    }
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn backups_show_no_secret_while_they_are_made_drilled_and_restored() {
    let site = Site::new("secret-backup", &[FULL[1]]);
    site.up();
    let secrets = [site.env("POSTGRES_PASSWORD"), site.env("REDIS_PASSWORD")];
    for args in [
        &["backup", "dev", "--logical", "-v"][..],
        &["backup", "dev", "--dry-run", "-v", "--json"],
        &["backup", "show", "latest", "--json"],
        &["backup", "drill", "-v"],
        &["backup", "restore", "latest", "--yes", "-v"],
    ] {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut seen = String::new();
                while !over.load(Ordering::Relaxed) {
                    seen.push_str(&arguments());
                    // What the engine tells of helpers and servers that are started alone.
                    let label = format!("label=case-interview.helper={}", site.project());
                    for filter in [label.clone(), format!("{label}-drill")] {
                        let ids = tests::docker(&["ps", "--quiet", "--filter", &filter]);
                        for id in ids.lines() {
                            seen.push_str(&tests::docker(&["inspect", id]));
                        }
                    }
                }
                seen
            });
            let run = site.xtask(args);
            over.store(true, Ordering::Relaxed);
            let seen = watch.join().unwrap();
            let run = run.succeeds();
            for secret in &secrets {
                assert!(!seen.contains(secret.as_str()), "a secret is shown during {args:?}");
                let said = [run.stdout.as_str(), &run.stderr].concat();
                assert!(!said.contains(secret.as_str()), "a secret is printed by {args:?}");
            }
        });
    }
}

#[test]
fn the_containers_have_no_more_rights_than_they_need() {
    let site = Site::new("rights", &[FULL[1]]);
    site.up();
    for line in site.containers() {
        let id = line.split(' ').nth(1).unwrap();
        let output = Command::new("docker").args(["inspect", id]).output().unwrap();
        let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let host = &facts[0]["HostConfig"];
        assert_eq!(host["ReadonlyRootfs"], true, "{line}");
        assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]), "{line}");
        assert_eq!(host["SecurityOpt"], serde_json::json!(["no-new-privileges:true"]), "{line}");
        assert!(
            host["Memory"].as_u64().unwrap() > 0 && host["PidsLimit"].as_u64().unwrap() > 0,
            "{line}"
        );
        // The engine keeps little of a log that holds the text of mails.
        let files = if line.contains("mailhog") { "2" } else { "3" };
        assert_eq!(host["LogConfig"]["Config"]["max-file"], files, "{line}");
        assert!(!facts[0]["Config"]["User"].as_str().unwrap().starts_with('0'), "{line}");
        for bindings in host["PortBindings"].as_object().unwrap().values() {
            assert_eq!(bindings[0]["HostIp"], "127.0.0.1", "{line}");
        }
    }
}
