//! No secret is shown: the actual values are looked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::Site;
use tests::composes::FULL;

/// Every process's arguments, as anybody on the host sees them.
fn arguments() -> String {
    let output = Command::new("ps").args(["-eww", "-o", "args"]).output().expect("ps runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn no_secret_in_arguments_output_or_files() {
    for compose in FULL {
        let site = Site::new(&format!("secret-{}", compose.word()), &[compose]);
        site.xtask(&["env", "init", "dev"]).succeeds();
        let secrets = [site.env("POSTGRES_PASSWORD"), site.env("REDIS_PASSWORD")];
        let assert_hidden = |place: &str, text: &str| {
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "a secret stands in {place}: {text}");
            }
        };
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut seen = String::new();
                while !over.load(Ordering::Relaxed) {
                    seen.push_str(&arguments());
                }
                seen
            });
            let run = site.xtask(&[&["up", "dev", "--verbose"], Site::images()].concat());
            over.store(true, Ordering::Relaxed);
            assert_hidden("ps during up", &watch.join().unwrap());
            let run = run.succeeds();
            assert_hidden("up --verbose", &format!("{}{}", run.stdout, run.stderr));
        });
        assert_hidden("ps afterwards", &arguments());
        // A failing statement with a password must not reach the server's log either.
        let statement = format!("alter role nobody_here password '{}'", secrets[0]);
        site.xtask(&["shell", "dev", "postgres", "--", "-c", &statement]);
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
            let run = site.xtask(args).succeeds();
            assert_hidden(&args.join(" "), &format!("{}{}", run.stdout, run.stderr));
        }
        each_file(&site.root(), &mut |path| {
            let readable = fs::metadata(path).unwrap().permissions().mode() & 0o077 != 0;
            if let (true, Ok(text)) = (readable, fs::read(path)) {
                assert_hidden(&path.display().to_string(), &String::from_utf8_lossy(&text));
            }
        });
    }
}

fn each_file(folder: &Path, look: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() { each_file(&path, look) } else { look(&path) }
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
        assert_eq!(host["LogConfig"]["Config"]["max-file"], "3", "{line}");
        assert!(!facts[0]["Config"]["User"].as_str().unwrap().starts_with('0'), "{line}");
        for bindings in host["PortBindings"].as_object().unwrap().values() {
            assert_eq!(bindings[0]["HostIp"], "127.0.0.1", "{line}");
        }
    }
}
