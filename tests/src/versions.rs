//! The versions of servers that tests run on.
//!
//! The pinned versions are what counts. Where they cannot be had, tests run on neighbours of them
//! on both sides: what holds on both most likely holds between them.

use std::fs;
use std::io::Write;

use crate::{Part, Site, root};

/// Runs `test` on the offline image `on`, such as `postgres:13`. Where upstream images are there
/// it runs once, on those.
pub fn run(on: &'static str, test: fn(&'static str)) {
    if Site::is_offline() || is_usual(on) {
        test(on);
    } else {
        println!("left out, since the pinned version is here: {on}");
    }
}

/// Whether it is the one that `up --offline` takes.
fn is_usual(image: &str) -> bool {
    let manifest = xtask::stack::manifest::Manifest::load(root()).expect("stacks.toml");
    let services = manifest.stacks.iter().flat_map(|stack| &stack.services);
    services
        .filter_map(|service| service.offline_image.as_ref())
        .any(|usual| usual.ends_with(&format!("/{image}")))
}

/// Notes the images that `.env` of a stack named, for the last lines of `cargo xtask test`.
pub(crate) fn record(part: &Part<'_>) {
    let Some(path) = std::env::var_os("XTASK_TEST_RAN_ON") else { return };
    let Ok(text) = fs::read_to_string(part.env_file()) else { return };
    let images = text.lines().filter_map(|line| line.split_once("_IMAGE="));
    let chosen = images.filter(|(name, _)| !name.starts_with('#'));
    let lines: String = chosen.map(|(_, image)| format!("{image}\n")).collect();
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    let _ = file.and_then(|mut file| file.write_all(lines.as_bytes()));
}

/// Makes a test of `fn NAME(on: &'static str)` for each of these images; for the macros below.
#[macro_export]
macro_rules! on_each {
    ($name:ident: $($(#[$attribute:meta])* $test:ident = $image:literal),+) => {
        mod $name {
            $(
                #[test]
                $(#[$attribute])*
                fn $test() {
                    $crate::versions::run($image, super::$name);
                }
            )+
        }
    };
}

/// Makes tests of `fn NAME(on: &'static str)`, whose site is `on` that image: on PostgreSQL 13 and
/// 15 always, on 17 with `--long`.
#[macro_export]
macro_rules! on_each_postgres {
    ($($name:ident),+ $(,)?) => {$(
        $crate::on_each!(
            $name: on_13 = "postgres:13", on_15 = "postgres:15",
            #[ignore = "for cargo xtask test --long"] on_17 = "postgres:17"
        );
    )+};
}

/// The same on 13 always, which behaves as the pinned 14 with names and roles, and with `--long` on
/// the others.
#[macro_export]
macro_rules! on_postgres_13 {
    ($($name:ident),+ $(,)?) => {$(
        $crate::on_each!(
            $name: on_13 = "postgres:13",
            #[ignore = "for cargo xtask test --long"] on_15 = "postgres:15",
            #[ignore = "for cargo xtask test --long"] on_17 = "postgres:17"
        );
    )+};
}

/// The same on Redis 6.0 and 7.0, between which other tests run on 6.2.
#[macro_export]
macro_rules! on_each_redis {
    ($($name:ident),+ $(,)?) => {$(
        $crate::on_each!(
            $name: on_6_0 = "redis:6.0", on_7_0 = "redis:7.0",
            #[ignore = "for cargo xtask test --long"] on_6_2 = "redis:6.2"
        );
    )+};
}

/// The same on Prometheus 2.42 and 2.53.
#[macro_export]
macro_rules! on_each_prometheus {
    ($($name:ident),+ $(,)?) => {$(
        $crate::on_each!($name: on_2_42 = "prometheus:2.42", on_2_53 = "prometheus:2.53");
    )+};
}

/// The same on AlertManager 0.25 and 0.28.
#[macro_export]
macro_rules! on_each_alertmanager {
    ($($name:ident),+ $(,)?) => {$(
        $crate::on_each!($name: on_0_25 = "alertmanager:0.25", on_0_28 = "alertmanager:0.28");
    )+};
}
