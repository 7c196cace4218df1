//! The versions of servers that tests run on.
//!
//! The pinned versions are what counts. Where they cannot be had, tests run on neighbours of them
//! on both sides: what holds on both most likely holds between them.

use crate::{Site, root};

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
        .map(|service| &service.offline_image)
        .any(|usual| usual.ends_with(&format!("/{image}")))
}

/// Makes tests of `fn NAME(on: &'static str)`, whose site is `on` that image: on PostgreSQL 13 and
/// 15 always, on 17 with `--long`.
#[macro_export]
macro_rules! on_each_postgres {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[test]
            fn on_13() {
                $crate::versions::run("postgres:13", super::$name);
            }

            #[test]
            fn on_15() {
                $crate::versions::run("postgres:15", super::$name);
            }

            #[test]
            #[ignore = "for cargo xtask test --long"]
            fn on_17() {
                $crate::versions::run("postgres:17", super::$name);
            }
        }
    )+};
}
