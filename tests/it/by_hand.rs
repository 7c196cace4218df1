//! The steps of the README, without xtask.

use std::fs;
use std::process::Command;

use tests::composes::{Compose, FULL};
use tests::{Site, net, root};

/// The first `sh` block under the heading.
fn steps() -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("## By hand").nth(1).expect("the section By hand");
    let block = section.split("```sh\n").nth(1).expect("a block of commands");
    block.split("```").next().unwrap().to_owned()
}

fn by_hand(compose: Compose) {
    let site = Site::new(&format!("hand-{}", compose.word()), &[compose]);
    let mut script = steps().replace("sudo ", "");
    if matches!(compose, Compose::V2(_)) {
        script = script.replace("docker-compose", "docker compose");
    }
    if Site::is_offline() {
        let example = site.folder().join(".env.example");
        let mut text = fs::read_to_string(&example).unwrap();
        for (variable, image) in
            [("POSTGRES", "postgres:15"), ("REDIS", "redis:6.2"), ("MAILHOG", "mailhog:double")]
        {
            text.push_str(&format!("{variable}_IMAGE=case-interview-offline/{image}\n"));
        }
        fs::write(&example, text).unwrap();
    }
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &script]).current_dir(site.root());
    site.environment(&mut command);
    // The block uses a person's tools, and compose as this site has it.
    let path = format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        site.root().parent().unwrap().join("bin").display()
    );
    let output = command.env("PATH", path).env("DATA_DIR", site.data()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}\n{said}");
    assert!(!said.to_lowercase().contains("warn"), "{said}");

    // xtask finds the same project, and nothing to do but to ask.
    let before = site.containers();
    site.xtask(&["up", "dev"]).succeeds();
    assert_eq!(site.containers(), before);
    let one = net::client(
        &site.image("postgres"),
        &site.url("DATABASE_URL"),
        "psql \"$URL\" -Atqc 'select 1'",
    );
    assert_eq!(one, "1");
}

#[test]
fn the_steps_of_the_readme_work_on_docker_compose_1() {
    by_hand(FULL[0]);
}

#[test]
fn the_steps_of_the_readme_work_on_the_compose_plugin() {
    by_hand(FULL[1]);
}

#[test]
fn a_missing_password_is_named_with_the_command_that_makes_it() {
    for compose in FULL {
        let site = Site::new(&format!("nopw-{}", compose.word()), &[compose]);
        let mut command = match compose {
            Compose::V1 => Command::new("docker-compose"),
            Compose::V2(_) => Command::new("docker"),
        };
        if let Compose::V2(_) = compose {
            command.arg("compose");
        }
        site.environment(&mut command);
        fs::copy(site.folder().join(".env.example"), site.env_file()).unwrap();
        let path = format!("{}:/usr/bin:/bin", site.root().parent().unwrap().join("bin").display());
        let output = command
            .args(["up", "-d"])
            .current_dir(site.folder())
            .env("PATH", path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(
            said.contains("POSTGRES_PASSWORD") && said.contains("cargo xtask env init dev"),
            "{said}"
        );
    }
}
