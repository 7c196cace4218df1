//! Which major version an image is: its server says so, and no tag.

use tests::composes::FULL;
use tests::{Site, docker};

/// Another name for an image, which goes with the test.
struct Tag(String);

impl Tag {
    fn new(image: &str, tag: &str) -> Self {
        let name = format!("case-interview-test/postgres:{tag}-{}", std::process::id());
        docker(&["tag", image, &name]);
        Self(name)
    }
}

impl Drop for Tag {
    fn drop(&mut self) {
        docker(&["rmi", &self.0]);
    }
}

#[test]
fn a_tag_proves_no_version() {
    if !Site::is_offline() {
        return;
    }
    let site = Site::new("version", &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    let right = Tag::new("case-interview-offline/postgres:15", "14.1.0");
    site.set_env("POSTGRES_IMAGE", &right.0);
    site.xtask(&["up", "dev"]).succeeds();
    site.sql("create table kept as select 1 as n");
    let id = site.backup(&[]);
    site.xtask(&["backup", "restore", &id, "--yes"]).succeeds();
    assert_eq!(site.sql("select n from kept"), "1");

    let wrong = Tag::new("case-interview-offline/postgres:13", "15");
    site.set_env("POSTGRES_IMAGE", &wrong.0);
    site.xtask(&["backup", "restore", &id, "--yes"])
        .ends_with(1)
        .says("which cannot open its data")
        .says("is PostgreSQL 13");
    assert_eq!(site.sql("select n from kept"), "1", "the stack still runs");
    site.xtask(&["down", "dev"]).succeeds();
    site.xtask(&["up", "dev"])
        .ends_with(3)
        .says(&format!("is of PostgreSQL 15, and {} is 13", wrong.0));
    site.set_env("POSTGRES_IMAGE", &right.0);
    site.xtask(&["up", "dev"]).succeeds();
    site.xtask(&["down", "dev"]).succeeds();
}
