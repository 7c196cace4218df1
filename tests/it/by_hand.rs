//! The steps of the README, without xtask.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::composes::{Compose, FULL};
use tests::{Part, Site, docker, net, root};
use xtask::stack::compose_file::ComposeFile;
use xtask::stack::manifest::Manifest;

/// The first `sh` block under the heading, for `compose` and a test that is root.
fn steps(heading: &str, compose: Compose) -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split(&format!("## {heading}\n")).nth(1).expect("the section");
    let block = section.split("```sh\n").nth(1).expect("a block of commands");
    for_compose(&block.split("```").next().unwrap().replace("sudo ", ""), compose)
}

fn for_compose(script: &str, compose: Compose) -> String {
    match compose {
        Compose::V1 => script.to_owned(),
        Compose::V2(_) => script.replace("docker-compose ", "docker compose "),
    }
}

/// Chooses the offline images in `.env.example`, as a person would in `.env`, unless one is chosen.
fn choose_images(part: &Part<'_>) {
    let manifest = Manifest::load(root()).unwrap();
    let stack = manifest.stacks.iter().find(|stack| part.folder().ends_with(&stack.name)).unwrap();
    let compose = ComposeFile::load(&part.folder(), None).unwrap();
    let example = part.folder().join(".env.example");
    let mut text = fs::read_to_string(&example).unwrap();
    for service in &stack.services {
        let variable = compose.image_variable(&service.name).unwrap();
        if !text.contains(&format!("\n{variable}=")) {
            let image = service.offline_image.as_ref().unwrap();
            text.push_str(&format!("{variable}={image}\n"));
        }
    }
    fs::write(&example, text).unwrap();
}

/// Runs `script` as a person would, with compose as this site has it; the error is what it said.
fn try_run(site: &Site, folder: &Path, script: &str) -> Result<String, String> {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder);
    site.environment(&mut command);
    let path = format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        site.root().parent().unwrap().join("bin").display()
    );
    let output = command.env("PATH", path).env("DATA_DIR", site.data()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn run(site: &Site, folder: &Path, script: &str) {
    let said = try_run(site, folder, script).unwrap_or_else(|said| panic!("{script}\n{said}"));
    assert!(!said.to_lowercase().contains("warn"), "{said}");
}

fn by_hand(compose: Compose, on: &str) {
    let site = Site::new(&format!("hand-{}", compose.word()), &[compose]).on(on);
    if Site::is_offline() {
        choose_images(&site.development());
    }
    run(&site, &site.root(), &steps("By hand", compose));

    // xtask finds the same project, and adds what needs a setup step.
    let (before, redis) = (site.containers(), site.development().container("redis"));
    site.xtask(&["up", "dev"]).succeeds();
    let after = site.containers();
    let kept = before.iter().filter(|line| !line.ends_with(&redis));
    assert!(
        kept.clone().count() == 2 && kept.clone().all(|line| after.contains(line)),
        "{after:?}"
    );
    site.xtask(&["up", "dev"]).succeeds();
    assert_eq!(site.containers(), after);
    let one = net::client(
        &site.image("postgres"),
        &site.url("DATABASE_URL"),
        "psql \"$URL\" -Atqc 'select 1'",
    );
    assert_eq!(one, "1");
}

fn monitoring_by_hand(compose: Compose) {
    let site = Site::new(&format!("monhand-{}", compose.word()), &[compose]);
    let monitoring = site.monitoring();
    if Site::is_offline() {
        choose_images(&monitoring);
    }
    run(&site, &site.root(), &steps("Monitoring by hand", compose));
    let (prometheus, grafana) =
        (monitoring.port("PROMETHEUS_PORT"), monitoring.port("GRAFANA_PORT"));
    for service in ["prometheus", "alertmanager", "grafana", "node-exporter", "blackbox-exporter"] {
        let id = monitoring.container(service);
        net::eventually(service, || {
            docker(&["inspect", "--format", "{{.State.Health.Status}}", &id]) == "healthy"
        });
    }
    // Nothing shared, no admin, no lifecycle, and the login is the one in .env.
    assert_eq!(
        docker(&[
            "network",
            "ls",
            "--quiet",
            "--filter",
            &format!("name={}", site.metrics_network())
        ]),
        ""
    );
    for (path, refusal) in [
        ("/api/v1/admin/tsdb/snapshot", "admin APIs disabled"),
        ("/-/reload", "Lifecycle API is not enabled"),
        ("/-/quit", "Lifecycle API is not enabled"),
    ] {
        let (_, said) = net::ask("POST", prometheus, path, None);
        assert!(said.contains(refusal), "{path}: {said}");
    }
    let password = monitoring.env("GRAFANA_ADMIN_PASSWORD");
    let query = "/api/datasources/proxy/uid/prometheus/api/v1/query?query=up";
    assert_eq!(net::ask("GET", grafana, query, Some(&password)).0, 200);
    net::eventually("its own targets are up", || {
        let targets = net::get(prometheus, "/api/v1/targets?state=active");
        targets.matches(r#""health":"up""#).count() == 5 && !targets.contains(r#""health":"down""#)
    });

    site.xtask(&["setup", "monitoring"]).succeeds();
    run(&site, &monitoring.folder(), &steps("The overlays", compose));
    let id = monitoring.container("prometheus");
    net::eventually("prometheus is healthy with a password", || {
        docker(&["inspect", "--format", "{{.State.Health.Status}}", &id]) == "healthy"
    });
    assert_eq!(net::ask("GET", prometheus, "/-/ready", None).0, 401);
    let before = monitoring.containers();
    site.xtask(&["up", "monitoring"]).succeeds();
    assert_eq!(monitoring.containers(), before, "xtask has nothing to do but to ask");
}

#[test]
fn monitoring_starts_by_hand_on_docker_compose_1() {
    monitoring_by_hand(FULL[0]);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn monitoring_starts_by_hand_on_the_compose_plugin() {
    monitoring_by_hand(FULL[1]);
}

#[test]
fn the_steps_of_the_readme_work_on_docker_compose_1() {
    by_hand(FULL[0], "postgres:13");
}

#[test]
fn the_steps_of_the_readme_work_on_the_compose_plugin() {
    by_hand(FULL[1], "postgres:15");
}

#[test]
fn a_missing_password_is_named_with_the_command_that_makes_it() {
    for compose in FULL {
        let site = Site::new(&format!("nopw-{}", compose.word()), &[compose]);
        let secrets = [
            (site.development(), "POSTGRES_PASSWORD", "cargo xtask env init dev"),
            (site.development(), "REDIS_PASSWORD", "cargo xtask env init dev"),
            (site.monitoring(), "GRAFANA_ADMIN_PASSWORD", "cargo xtask env init monitoring"),
        ];
        for (stack, missing, mend) in secrets {
            let example = fs::read_to_string(stack.folder().join(".env.example")).unwrap();
            // A Compose names one missing variable, any of them: the others have a value here.
            let others =
                secrets.map(|(_, name, _)| name).into_iter().filter(|name| *name != missing);
            let values: String = others.map(|name| format!("{name}=a-value-by-hand\n")).collect();
            fs::write(stack.env_file(), format!("{example}\n{values}")).unwrap();
            let up = for_compose("docker-compose up -d", compose);
            let said = try_run(&site, &stack.folder(), &up).unwrap_err();
            assert!(said.contains(missing) && said.contains(mend), "{said}");
        }
    }
}
