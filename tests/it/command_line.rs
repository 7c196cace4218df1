//! The surface: exit statuses, JSON, completions, help.

use tests::Site;
use tests::composes::FULL;

#[test]
fn json_documents_carry_their_schema_and_stand_alone_on_stdout() {
    let site = Site::new("json", &[FULL[1]]);
    site.restore_example();
    for (args, schema) in [
        (&["setup", "dev", "--dry-run", "--json"][..], "xtask.plan/v1"),
        (&["status", "dev", "--json"], "xtask.status/v1"),
        (&["images", "list", "--json"], "xtask.images/v1"),
        (&["check", "--json"], "xtask.check/v1"),
    ] {
        assert_eq!(site.xtask(args).succeeds().json()["schema"], schema, "{args:?}");
    }
    let doctor = site.xtask(&["doctor", "dev", "--json"]).ends_with(3).json();
    assert_eq!(doctor["schema"], "xtask.doctor/v1");
    let ids: Vec<_> = doctor["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"env.missing") && ids.contains(&"engine.version"), "{ids:?}");
    let error = site.xtask(&["up", "nowhere", "--json"]).ends_with(2).json();
    assert_eq!(
        (error["schema"].as_str(), error["id"].as_str()),
        (Some("xtask.error/v1"), Some("stack.unknown"))
    );
    assert!(!site.env_file().exists(), "nothing here changes anything");
}

#[test]
fn findings_become_annotations_on_github() {
    let site = Site::new("github", &[FULL[1]]);
    let output = site.command(&["doctor", "dev"]).env("GITHUB_ACTIONS", "true").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("::error") && said.contains("title=env.missing"), "{said}");
}

#[test]
fn help_and_completions_name_every_command() {
    let site = Site::new("help", &[FULL[1]]);
    let help = site.xtask(&["--help"]).succeeds().stdout;
    for shell in ["bash", "zsh", "fish"] {
        let script = site.xtask(&["completions", shell]).succeeds().stdout;
        for command in [
            "doctor",
            "setup",
            "up",
            "down",
            "restart",
            "status",
            "urls",
            "logs",
            "rotate-logs",
            "schedule",
            "shell",
            "env",
            "images",
            "check",
            "test",
        ] {
            assert!(help.contains(command) && script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn a_secret_under_version_control_is_found_with_file_and_line() {
    let site = Site::new("commit", &[FULL[1]]);
    let git = |args: &[&str]| {
        let status = std::process::Command::new("git").args(args).current_dir(site.root()).status();
        assert!(status.unwrap().success());
    };
    git(&["init", "--quiet"]);
    let key = ["first\n-----BEGIN RSA ", "PRIVATE KEY-----\n"].concat();
    std::fs::write(site.root().join("key.pem"), key).unwrap();
    std::fs::write(site.env_file(), "POSTGRES_PASSWORD=x\n").unwrap();
    git(&["add", "--force", "."]);
    let run = site.xtask(&["check"]).ends_with(1);
    assert!(run.stderr.contains("key.pem:2: a private key"), "{}", run.stderr);
    assert!(run.stderr.contains("an env file is under version control"), "{}", run.stderr);
}
