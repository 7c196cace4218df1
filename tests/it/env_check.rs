//! `env check`: what is wrong with a file is named with its line and what mends it.

use std::fs;

use tests::Site;
use tests::composes::FULL;

#[test]
fn every_wrong_value_is_found_at_once_with_its_line() {
    let site = Site::new("values", &[FULL[1]]);
    site.xtask(&["env", "check", "dev"]).ends_with(3).says("cargo xtask env init dev");
    site.xtask(&["env", "init", "dev"]).succeeds();
    site.xtask(&["env", "check", "dev"]).succeeds();
    let smtp = site.env("MAILHOG_SMTP_PORT");
    site.set_env("POSTGRES_PORT", "70000");
    site.set_env("REDIS_PORT", "none");
    site.set_env("MAILHOG_UI_PORT", &smtp);
    site.set_env("REDIS_APPENDONLY", "maybe");
    site.set_env("POSTGRES_DB", "");
    let text = fs::read_to_string(site.env_file()).unwrap();
    fs::write(site.env_file(), format!("{text}BIND_ADDRESS=127.0.0.1\n")).unwrap();
    let last = text.lines().count() + 1;
    site.xtask(&["env", "check", "dev"])
        .ends_with(3)
        .says("POSTGRES_PORT is `70000`, which is not a port")
        .says("REDIS_PORT is `none`, which is not a port")
        .says("MAILHOG_UI_PORT")
        .says(&format!("are both {smtp}"))
        .says("REDIS_APPENDONLY is `maybe` (needed: yes or no)")
        .says("POSTGRES_DB is empty, so the compose file's case_interview_platform counts")
        .says(&format!(".env:{last}: BIND_ADDRESS stands on line"));
    site.xtask(&["up", "dev"]).ends_with(3);
    assert!(site.containers().is_empty());
}

#[test]
fn a_line_that_makes_no_sense_comes_with_advice_that_helps() {
    let site = Site::new("nonsense", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    let good = fs::read_to_string(site.env_file()).unwrap();
    let line = good.lines().count() + 1;
    for (bad, advice) in [
        ("this is nonsense\n", "remove the line, make it a comment with #, or write NAME=value"),
        ("POSTGRES_DB='open\n", "the quote is not closed on its line"),
    ] {
        fs::write(site.env_file(), format!("{good}{bad}")).unwrap();
        site.xtask(&["up", "dev"]).ends_with(3).says(&format!(".env:{line}: ")).says(advice);
    }
}

#[test]
fn a_file_that_is_no_text_is_named_with_its_line_and_keeps_nobody_from_taking_the_stack_down() {
    let site = Site::new("latin", &[FULL[1]]);
    site.up();
    let good = fs::read(site.env_file()).unwrap();
    let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
    let bad = [&good[..], b"# caf\xe9\n"].concat();
    fs::write(site.env_file(), &bad).unwrap();
    for args in [&["up", "dev"][..], &["status", "dev"], &["env", "check", "dev"]] {
        let place = format!("infrastructure/docker/development/.env:{line}: ");
        site.xtask(args).ends_with(3).says(&place).says("save the file as UTF-8");
    }
    site.xtask(&["down", "dev"]).succeeds();
    assert!(site.containers().is_empty());
    assert_eq!(fs::read(site.env_file()).unwrap(), bad, "no byte is changed");
}
