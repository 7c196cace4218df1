//! `.env` that is gone, or older than the compose file: what it held is looked for before anything is
//! stopped, and one definition says what is missing.

use std::fs;

use tests::composes::FULL;
use tests::{Part, Site};

/// Every assignment of the file.
fn values(part: &Part<'_>) -> Vec<(String, String)> {
    let text = fs::read_to_string(part.env_file()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}

fn a_lost_file_comes_back(part: &Part<'_>, site: &Site, word: &str) {
    let (before, containers) = (values(part), part.containers());
    assert!(!containers.is_empty());
    fs::remove_file(part.env_file()).unwrap();
    let advice = format!("cargo xtask env init {word} --from-containers");
    for args in [&["up", word][..], &["setup", word], &["env", "init", word]] {
        site.xtask(args).ends_with(3).says("is missing, but").says(&advice);
        assert!(!part.env_file().exists(), "{args:?}");
    }
    site.xtask(&["doctor", word]).says(&advice);
    let written = site.xtask(&["env", "init", word, "--from-containers"]).succeeds();
    // Of a service that has no container, nothing is known.
    for (name, value) in before.into_iter().filter(|(name, _)| name != "CADVISOR_IMAGE") {
        assert_eq!(part.env(&name), value, "{name}");
        assert!(!name.ends_with("PASSWORD") || !written.stderr.contains(&value), "{name}");
    }
    site.xtask(&["env", "init", word, "--from-containers"])
        .ends_with(1)
        .says("only writes a missing file");
    site.xtask(&["up", word]).succeeds();
    assert_eq!(part.containers(), containers, "what ran runs on");
}

#[test]
fn a_file_that_is_gone_comes_back_from_its_containers() {
    let site = Site::new("lost", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    site.set_env("POSTGRES_DB", "my_db");
    site.set_env("REDIS_MEM_LIMIT", "3200m");
    site.up();
    a_lost_file_comes_back(&site.development(), &site, "dev");
    // Also with a container that has stopped, and with --yes in one go.
    let before = values(&site.development());
    let redis = site.development().container("redis");
    tests::docker(&["stop", &redis]);
    fs::remove_file(site.env_file()).unwrap();
    site.xtask(&["up", "dev", "--yes"]).succeeds();
    for (name, value) in before {
        assert_eq!(site.env(&name), value, "{name}");
    }
    assert_eq!(site.development().container("redis"), redis);
}

#[test]
fn a_file_of_monitoring_that_is_gone_comes_back_with_the_passwords_of_generated_files() {
    let site = Site::new("lostmon", &[FULL[1]]);
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    a_lost_file_comes_back(&site.monitoring(), &site, "mon");
}

#[test]
fn what_a_pull_brings_is_added_by_the_command_that_is_advised() {
    let site = Site::new("pulled", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let add = |file: &str, more: &str| {
        let path = site.folder().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + more).unwrap();
    };
    add("docker-compose.yml", "\nx-new: \"${NEW_SIZE:?no}\"\n");
    add(".env.example", "NEW_SIZE=2gb\n");
    let advice = "cargo xtask env init dev";
    site.xtask(&["env", "check", "dev"]).ends_with(3).says("NEW_SIZE is missing").says(advice);
    site.xtask(&["env", "init", "dev", "--yes"]).succeeds().says("NEW_SIZE=2gb");
    site.xtask(&["env", "check", "dev"]).succeeds();
    site.xtask(&["env", "init", "dev"]).succeeds().says("is complete");

    add("docker-compose.yml", "\nx-newer: \"${NEW_NAME:?no}\"\n");
    let said = "NEW_NAME is missing";
    for args in
        [&["env", "check", "dev"][..], &["setup", "dev"], &["up", "dev"], &["env", "init", "dev"]]
    {
        site.xtask(args).ends_with(3).says(said).says("write NAME=value into").says(".env");
    }
    assert!(site.containers().is_empty());
    site.set_env("NEW_NAME", "mine");
    site.xtask(&["env", "init", "dev"]).succeeds().says("is complete");
}

#[test]
fn a_misspelt_name_is_said_by_who_acts_on_the_file() {
    let site = Site::new("misspelt", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let text = fs::read_to_string(site.env_file()).unwrap();
    fs::write(site.env_file(), text.replace("REDIS_PORT=", "REDSI_PORT=")).unwrap();
    for args in [&["env", "check", "dev"][..], &["setup", "dev"], &["up", "dev", "--dry-run"]] {
        site.xtask(args).says("uses no REDSI_PORT").says("did you mean REDIS_PORT?");
    }
}
