//! `up` without `--offline`: the pinned images come from a registry, or the user is told why not.
//! The registry is a real one, on a machine where it goes by Docker Hub's name, and has stand-ins
//! under the pinned references.

use std::process::{Command, Stdio};

use tests::composes::FULL;
use tests::machine::Machine;
use tests::{Site, net, root, xtask};
use xtask::stack::compose_file::ComposeFile;
use xtask::stack::manifest::Manifest;

/// Puts an image for each service of the development stack into the registry.
fn stock(machine: &Machine) {
    let manifest = Manifest::load(root()).unwrap();
    let stack = manifest.stacks.iter().find(|stack| stack.name == "development").unwrap();
    let compose =
        ComposeFile::load(&root().join("infrastructure/docker/development"), None).unwrap();
    for service in &stack.services {
        let offline = service.offline_image.as_ref().unwrap();
        machine.stock(offline, &compose.default_image(&service.name).unwrap());
    }
}

/// A site that uses the machine's engine.
fn site_on(machine: &Machine, name: &str) -> Site {
    let mut site = Site::new(name, &[FULL[1]]);
    site.use_engine(machine.address());
    site.xtask(&["env", "init", "dev"]).succeeds();
    // From here, the other machine's loopback is out of reach.
    site.set_env("BIND_ADDRESS", "0.0.0.0");
    site
}

/// Where upstream's images are there, they were just pulled.
fn is_left_out() -> bool {
    if !Site::is_offline() {
        println!("left out, since a real registry is there");
    }
    !Site::is_offline()
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn two_copies_pull_the_pinned_images_at_once_from_a_slow_registry_and_come_up() {
    if is_left_out() {
        return;
    }
    let machine = Machine::with_registry("pull", "8g");
    stock(&machine);
    machine.registry_behaves("limit_rate 20m;");
    let sites = ["pull-one", "pull-two"].map(|name| site_on(&machine, name));
    let commands = [sites[0].command(&["up", "dev"]), up_on_a_terminal(&sites[1])];
    let runs = commands
        .map(|mut command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    for (run, site) in runs.into_iter().zip(&sites) {
        let is_on_terminal = site.project() == sites[1].project();
        let output = run.wait_with_output().unwrap();
        let said = [output.stderr, output.stdout].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
        let progress = said.contains(" MB of ") && said.contains(" layers");
        assert_eq!(progress, is_on_terminal, "{said}");
        assert!(said.contains("pulling 5 images: supabase/postgres:14.1.0, "), "{said}");
        assert!(said.contains("postgres: database answers"), "{said}");
        assert!(!said.contains("on offline images"), "{said}");
        site.xtask(&["down", "dev"]).succeeds();
    }
}

/// `up dev` with a terminal for all that it writes, which comes out as stdout.
fn up_on_a_terminal(site: &Site) -> Command {
    let mut command = Command::new("/usr/bin/script");
    let line = format!("{} up dev", xtask().display());
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(site.root());
    site.environment(&mut command);
    command.env("TERM", "xterm");
    command
}

/// What a registry may do when it is asked for PostgreSQL, and what the user is told.
const FAULTS: [(&str, &str, &str); 4] = [
    (
        "the registry wants a login for it",
        "docker login, then: cargo xtask up dev",
        r#"location = /token { return 200 '{"token":"none"}'; }
        location /v2/ {
            add_header Docker-Distribution-Api-Version registry/2.0 always;
            add_header WWW-Authenticate 'Bearer realm="https://auth.docker.io/token",service="hub"' always;
            return 401 '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}';
        }"#,
    ),
    (
        "the registry has counted too many pulls",
        "wait an hour",
        r#"location = /v2/supabase/postgres/manifests/14.1.0 {
            return 429 '{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}';
        }"#,
    ),
    (
        "not for this engine's processor",
        "name an image for it in POSTGRES_IMAGE",
        r#"location = /v2/supabase/postgres/manifests/14.1.0 {
            default_type application/vnd.docker.distribution.manifest.list.v2+json;
            return 200 '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":7,"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","platform":{"architecture":"s390x","os":"linux"}}]}';
        }"#,
    ),
    (
        "the registry broke off while it sent it",
        "the layers that came whole stay",
        "location ~ ^/v2/supabase/postgres/blobs/ { return 502; }",
    ),
];

#[test]
fn each_failure_of_a_pull_is_named_with_a_way_out_and_leaves_nothing_in_the_way() {
    if is_left_out() {
        return;
    }
    let machine = Machine::with_registry("pull-faults", "100m");
    let site = site_on(&machine, "pull-faults");
    let fails = |why: &str, mend: &str| {
        let run = site.xtask(&["up", "dev"]).ends_with(3);
        run.says("error: supabase/postgres:14.1.0 ").says(why).says(mend)
    };
    fails("is not in the registry", "correct the name or the tag in POSTGRES_IMAGE");
    stock(&machine);
    for (why, mend, behaviour) in FAULTS {
        machine.registry_behaves(behaviour);
        fails(why, mend);
    }
    machine.registry_behaves("");
    fails("the engine's disk is full", "make room where the engine keeps images");
    machine.run(&["mount", "-o", "remount,size=8g", "/var/lib/docker"], 0);

    machine.registry_behaves("limit_rate 1m;");
    let mut up = site.command(&["up", "dev"]);
    let run = up.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_half_a_layer(&machine);
    machine.run(&["registry", "stop"], 0);
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("supabase/postgres:14.1.0"), "{said}");
    fails("no registry can be reached", "cargo xtask up dev --offline");

    machine.registry_behaves_again();
    site.xtask(&["up", "dev"]).succeeds();
    let left = machine.run(&["find", "/var/lib/docker/tmp", "-type", "f"], 0);
    assert!(left.is_empty(), "{left}");
}

/// Until the engine has a part of one.
fn wait_for_half_a_layer(machine: &Machine) {
    let part = ["find", "/var/lib/docker/tmp", "-name", "GetImageBlob*", "-size", "+1M"];
    net::eventually("a layer has begun to come", || !machine.run(&part, 0).is_empty());
}
