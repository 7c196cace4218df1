//! The surface: exit statuses, JSON, completions, help.

use tests::Site;
use tests::composes::FULL;

#[test]
fn json_documents_carry_their_schema_and_stand_alone_on_stdout() {
    let site = Site::new("json", &[FULL[1]]);
    site.restore_example();
    for (args, schema) in [
        (&["setup", "dev", "--dry-run", "--json"][..], "xtask.plan/v1"),
        (&["images", "list", "--json"], "xtask.images/v1"),
    ] {
        assert_eq!(site.xtask(args).succeeds().json()["schema"], schema, "{args:?}");
    }
    let status = site.xtask(&["status", "dev", "--json"]).ends_with(1).json();
    assert_eq!(status["schema"], "xtask.status/v1");
    let doctor = site.xtask(&["doctor", "dev", "--json"]).json();
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
    assert!(said.contains("::warning") && said.contains("title=env.missing"), "{said}");
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
            "backup",
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
    site.xtask_without_engine(&["check"])
        .ends_with(1)
        .says("key.pem:2: a private key")
        .says("a file that holds passwords is under version control");
}

#[test]
fn every_command_that_changes_something_tells_it_as_one_document() {
    let site = Site::new("changes", &[FULL[1]]);
    let steps = |args: &[&str]| {
        let document = site.xtask(&[args, &["--json"]].concat()).succeeds().json();
        assert_eq!(document["schema"], "xtask.changes/v1", "{args:?}");
        document["steps"].as_array().unwrap().len()
    };
    assert_eq!(steps(&["env", "init", "dev"]), 1);
    assert_eq!(steps(&["env", "init", "dev"]), 0, "nothing to do is a document too");
    assert!(steps(&[&["setup", "dev"], Site::images()].concat()) > 0);
    steps(&["down", "dev"]);
    assert_eq!(steps(&["down", "dev"]), 0);
    for args in [&["completions", "bash"][..], &["shell", "dev", "redis"], &["up"], &["--none"]] {
        let document = site.xtask(&[args, &["--json"]].concat()).ends_with(2).json();
        assert_eq!(document["schema"], "xtask.error/v1", "{args:?}");
        assert!(document["mend"].is_string() && document["message"].is_string(), "{document}");
    }
    let error = site.xtask(&["restart", "dev", "--json"]).ends_with(1).json();
    assert_eq!(
        (&error["id"], &error["mend"]),
        (&"stack.not-up".into(), &"cargo xtask up dev".into())
    );
}

#[test]
fn a_dry_run_only_prints() {
    let site = Site::new("dry", &[FULL[1]]);
    site.up();
    let set = ["shell", "dev", "redis", "--dry-run", "--", "set", "dry", "wet"];
    let run = site.xtask(&set).succeeds();
    assert!(
        run.stdout.contains("docker exec") && run.stdout.contains("set dry wet"),
        "{}",
        run.stdout
    );
    let get = site.xtask(&["shell", "dev", "redis", "--", "exists", "dry"]).succeeds();
    assert_eq!(get.stdout.trim(), "0");
    let run = site.xtask(&["test", "--dry-run"]).succeeds();
    assert!(run.stdout.contains("test --no-fail-fast --package xtask"), "{}", run.stdout);
    assert!(!run.stdout.contains("passed"), "{}", run.stdout);

    site.xtask(&["down", "dev"]).succeeds();
    let state = site.root().join("infrastructure/.state");
    std::fs::remove_dir_all(&state).unwrap();
    for args in
        [&["up", "dev", "--dry-run"][..], &["env", "init", "--dry-run"], &["status"], &["doctor"]]
    {
        site.xtask(args);
        assert!(!state.exists(), "{args:?} leaves nothing");
    }
}

#[test]
fn hints_stay_on_the_copy_that_is_meant() {
    let site = Site::new("hints", &[FULL[1]]);
    let data = site.data().join("other").display().to_string();
    let copy = ["--project", "other", "--data-dir", &data];
    let options = format!("--project other --data-dir '{data}'");
    for (args, mend) in [
        (&["env", "set-password", "dev", "postgres"][..], "cargo xtask up dev"),
        (&["shell", "dev", "redis"], "cargo xtask up dev"),
    ] {
        let run = site.xtask(&[args, &copy].concat());
        assert_ne!(run.status, 0, "{args:?}");
        run.says(&format!("{mend} {options}"));
    }
    site.xtask(&[&["env", "init", "dev"][..], &copy].concat()).succeeds();
    let run = site.xtask(&["shell", "dev", "redis", "--project", "other"]).ends_with(1);
    assert!(run.stderr.ends_with("cargo xtask up dev --project other\n"), "{}", run.stderr);
    let file = site.folder().join(".env.other");
    let text = std::fs::read_to_string(&file).unwrap();
    let bad = xtask::stack::dotenv::set(&text, "REDIS_APPENDONLY", "maybe").unwrap();
    std::fs::write(&file, bad).unwrap();
    site.xtask(&["doctor", "dev", "--project", "other"])
        .ends_with(3)
        .says("cargo xtask doctor dev --fix --project other");
}

#[test]
fn findings_are_the_result_of_doctor() {
    let site = Site::new("result", &[FULL[1]]);
    let run = site.xtask(&["doctor", "dev"]);
    assert!(
        run.stdout.contains("✓ docker is ") && run.stdout.contains(" checks, "),
        "{}",
        run.stdout
    );
    assert!(!run.stderr.contains("docker is"), "{}", run.stderr);
    assert!(site.xtask(&["env", "check", "dev", "--json"]).stdout.starts_with('{'));
}

#[test]
fn tests_that_do_not_build_count_as_failed() {
    let site = Site::new("broken", &[FULL[1]]);
    let output =
        site.command(&["test", "--no-engine"]).env("CARGO", "/bin/false").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.ends_with("0 passed, 1 failed\n"), "{said}");
}

#[test]
fn what_is_not_there_yet_is_said_with_the_command_that_makes_it() {
    let site = Site::new("fresh", &[FULL[1]]);
    site.xtask(&["doctor", "dev"]).succeeds().says("cargo xtask up dev writes it");
    let error = site.xtask(&["urls", "dev", "--json"]).ends_with(3).json();
    assert_eq!(
        (&error["id"], &error["mend"]),
        (&"env.missing".into(), &"cargo xtask up dev".into())
    );
    site.xtask(&["env", "set-password", "dev", "postgres"]).ends_with(3).says("cargo xtask up dev");
    site.xtask(&["urls", "dev", "--export"]).ends_with(2).says("--reveal");
    for command in ["status", "down"] {
        let run = site.xtask(&[command, "dev", "--project", "typo"]).ends_with(2);
        run.says("there is no project typo yet").says("cargo xtask up dev --project typo");
    }
}

#[test]
fn what_one_stack_lacks_keeps_nobody_from_the_other_unless_it_was_named() {
    let site = Site::new("half", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let urls = site.xtask(&["urls", "--json"]).succeeds().json();
    let stacks = urls["endpoints"].as_array().unwrap().iter().map(|endpoint| &endpoint["stack"]);
    assert!(stacks.clone().count() > 0 && stacks.clone().all(|stack| stack == "development"));
    site.xtask(&["urls"]).succeeds().says("monitoring has not been started yet");
    site.xtask(&["env", "check"]).succeeds();
    for command in [&["urls", "all"][..], &["env", "check", "mon"]] {
        site.xtask(command).ends_with(3);
    }
}

#[test]
fn status_fits_the_terminal_and_marks_offline_images() {
    let site = Site::new("columns", &[FULL[1]]);
    site.up();
    let output = site.command(&["status", "dev"]).env("COLUMNS", "80").output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert_eq!(table.contains("* runs on an offline image"), Site::is_offline(), "{table}");
    let wide = site.xtask(&["status", "dev"]).succeeds().stdout;
    assert!(wide.contains(&site.image("postgres")), "{wide}");
    if Site::is_offline() {
        let run = site.xtask(&["images", "remove", "--dry-run"]).ends_with(1);
        run.says("is used by").says("cargo xtask down dev");
    }
}

#[test]
fn doctor_tells_a_service_that_runs_otherwise_from_one_that_does_not_stay_up() {
    let site = Site::new("otherwise", &[FULL[1]]);
    site.up();
    let port = site.port("REDIS_PORT");
    site.set_env("REDIS_PORT", "31999");
    site.xtask(&["doctor", "dev"])
        .says(&format!("redis: it runs with an older .env: on port {port}, not 31999"))
        .says("cargo xtask up dev");
    site.set_env("REDIS_PORT", &port.to_string());
    let pid_file = site.data().join("redis");
    // A file where the server wants to make a directory or to read its data.
    std::fs::remove_dir_all(pid_file.join("appendonlydir")).ok();
    std::fs::remove_file(pid_file.join("appendonly.aof")).ok();
    std::fs::create_dir(pid_file.join("appendonly.aof")).unwrap();
    site.xtask(&["restart", "dev", "redis"]).ends_with(1);
    site.xtask(&["doctor", "dev"]).ends_with(3).says("✗ redis: it ");
}

#[test]
fn what_people_type_is_understood_or_answered_with_the_right_command() {
    let site = Site::new("typed", &[FULL[1]]);
    site.xtask(&["backup", "lst"]).ends_with(2).says("did you mean: cargo xtask backup list");
    site.xtask(&["psql"]).ends_with(2).says("cargo xtask shell dev postgres");
    site.xtask(&["reset"]).ends_with(2).says("cargo xtask down --help");
    site.xtask(&["up", "redis"]).ends_with(2).says("it is a service of dev");
    site.xtask(&["shell", "dev"]).ends_with(2).says("cargo xtask shell dev redis");
    site.up();
    for line in [
        &["shell", "redis", "ping"][..],
        &["shell", "dev", "redis", "ping"],
        &["shell", "dev", "redis", "--", "ping"],
    ] {
        assert_eq!(site.xtask(line).succeeds().stdout.trim(), "PONG", "{line:?}");
    }
    // Another copy would be asked than the one that is meant.
    let elsewhere = ["shell", "dev", "redis", "ping", "--project", "other"];
    site.xtask(&elsewhere).ends_with(2).says("put it before the stack");
    let lines = site.xtask(&["logs", "redis", "-n", "2", "--since", "yesterday"]).succeeds().stdout;
    assert_eq!(lines.lines().count(), 2, "{lines}");
    site.xtask(&["restart", "redis"]).succeeds();
}
