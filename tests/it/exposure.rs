//! Settings and files that would open a stack, or lead one program elsewhere, without a word.

use std::fs;

use tests::composes::FULL;
use tests::{Run, Site, docker};

#[test]
fn an_address_is_judged_alike_by_every_command() {
    let site = Site::new("open", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let up = || site.xtask(&[&["up", "dev", "--dry-run"], Site::images()].concat());
    let env_check = || site.xtask(&["env", "check", "dev"]);
    for (address, status, words) in [
        ("evil", 3, "`evil`, which is not an IP address"),
        ("127.0.0.1:80", 3, "`127.0.0.1:80`, which is not an IP address"),
        ("192.0.2.1", 3, "which this machine cannot bind"),
        ("0.0.0.0", 0, "everybody who reaches this machine over any network"),
        ("::", 0, "everybody who reaches this machine over any network"),
    ] {
        site.set_env("BIND_ADDRESS", address);
        let said = [words, if status == 0 { "unencrypted" } else { address }];
        for run in [up(), env_check()] {
            run.ends_with(status).says(said[0]).says(said[1]).says(".env:");
        }
        site.xtask(&["doctor", "dev"]).says(said[0]).says(said[1]);
    }
    site.set_env("BIND_ADDRESS", "127.0.0.1");
    for run in [up(), env_check()] {
        let run = run.succeeds();
        assert!(!run.stderr.contains("over any network"), "{}", run.stderr);
    }
    let text = fs::read_to_string(site.env_file()).unwrap();
    fs::write(site.env_file(), format!("{text}DOCKER_HOST=tcp://127.0.0.1:9\n")).unwrap();
    for run in [up(), env_check()] {
        run.ends_with(3).says("DOCKER_HOST counts here for docker-compose 1.x alone");
    }
    assert!(site.containers().is_empty());
}

#[test]
fn a_context_is_followed_by_every_compose_and_never_replaced_by_the_local_engine() {
    let site = Site::new("context", &[FULL[0]]);
    let run = |args: &[&str], context: &str| {
        let output = site.command(args).env("DOCKER_CONTEXT", context).output().unwrap();
        Run::new(format!("DOCKER_CONTEXT={context} cargo xtask {}", args.join(" ")), &output)
    };
    for args in [&["status", "dev"][..], &["up", "dev"], &["doctor", "dev"]] {
        run(args, "nowhere").ends_with(3).says("the Docker context nowhere cannot be used");
    }
    // The client's settings lead docker-compose 1.x to an engine that is not there.
    let config = site.root().parent().unwrap().join("docker");
    for (name, host) in [("here", "unix:///var/run/docker.sock"), ("away", "unix:///nowhere.sock")]
    {
        let endpoint = format!("host={host}");
        let config = config.to_str().unwrap();
        docker(&["--config", config, "context", "create", name, "--docker", &endpoint]);
    }
    let settings = config.join("config.json");
    fs::write(&settings, r#"{"currentContext":"away"}"#).unwrap();
    run(&[&["up", "dev"], Site::images()].concat(), "here").succeeds();
    assert!(!site.containers().is_empty());
    run(&["down", "dev"], "here").succeeds();
}

#[test]
fn what_a_person_puts_on_top_is_used_and_listed() {
    for compose in FULL {
        let site = Site::new(&format!("ontop-{}", compose.word()), &[compose]);
        let text = "services:\n  mailhog:\n    labels:\n      on-top: \"${BIND_ADDRESS}\"\n";
        fs::write(
            site.folder().join("docker-compose.override.yml"),
            format!("version: \"2.4\"\n{text}"),
        )
        .unwrap();
        let place = "infrastructure/docker/development/docker-compose.override.yml";
        site.up().says("and docker-compose.override.yml");
        site.xtask(&["doctor", "dev"]).says(&format!("{place}: is used"));
        let container = format!("label=com.docker.compose.project={}", site.project());
        let labels =
            docker(&["ps", "--filter", &container, "--filter", "label=on-top=127.0.0.1", "-q"]);
        assert_eq!(labels.lines().count(), 1, "{compose:?}");

        let copy = site
            .xtask(&[&["up", "dev", "--project", "copy", "--dry-run"], Site::images()].concat());
        let copy = copy.succeeds();
        assert!(!copy.stdout.contains("override") && !copy.stderr.contains("override"));
        fs::write(site.folder().join("docker-compose.override.yaml"), text).unwrap();
        site.xtask(&["up", "dev"]).ends_with(3).says("rename it docker-compose.override.yml");
    }
}
