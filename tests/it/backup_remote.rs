//! Backups of a stack whose engine is another machine's, where bulk data takes the Docker client's
//! streams.

use tests::Site;
use tests::composes::FULL;
use tests::machine::Machine;

const LEFT_OVER: [&str; 6] =
    ["docker", "ps", "--all", "--quiet", "--filter", "label=case-interview.helper"];

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_set_made_over_a_remote_engine_brings_back_what_it_held() {
    let machine = Machine::new("engine");
    machine.xtask(&["doctor", "dev", "--fix"], 0);
    machine.load_images();
    let mut site = Site::new("far", &[FULL[1]]);
    site.use_engine(machine.address());
    site.xtask(&["env", "init", "dev"]).succeeds();
    // From here, the other machine's loopback is out of reach.
    site.set_env("BIND_ADDRESS", "0.0.0.0");
    site.up();
    site.sql("create table kept as select n, md5(n::text) from generate_series(1, 300000) n");
    site.mark(1);
    let id = site.backup(&[]);
    site.xtask(&["backup", "verify", "--deep"]).succeeds();
    site.sql("drop table kept");
    site.mark(2);
    site.xtask(&["backup", "restore", &id, "--yes"]).succeeds();
    assert_eq!(site.sql("select count(*) from kept"), "300000");
    assert_eq!(site.marked(), (1, 1));
    site.xtask(&["backup", "drill", &id]).succeeds();
    site.xtask(&["backup", "restore", "dev", "--undo", "--yes"]).succeeds();
    assert_eq!(site.marked(), (2, 2));
    site.xtask(&["backup", "restore", "dev", "--drop", "--yes"]).succeeds();
    assert_eq!(machine.run(&LEFT_OVER, 0), "");
}
