//! Backups of a stack whose engine is another machine's, where bulk data takes the Docker client's
//! streams; and that engine stops half-way.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tests::composes::FULL;
use tests::machine::Machine;
use tests::{Random, Site, is_long, seed};

const LEFT_OVER: [&str; 6] =
    ["docker", "ps", "--all", "--quiet", "--filter", "label=case-interview.helper"];

#[test]
#[ignore = "for cargo xtask test --long"]
fn backups_work_over_a_remote_engine_and_live_through_its_end() {
    let machine = Machine::new("engine");
    machine.xtask(&["doctor", "dev", "--fix"], 0);
    machine.load_images();
    let mut site = Site::new("far", &[FULL[1]]);
    site.use_engine(machine.address());
    site.xtask(&["env", "init", "dev"]).succeeds();
    // From here, the other machine's loopback is out of reach.
    site.set_env("BIND_ADDRESS", "0.0.0.0");
    site.up();
    brings_back_what_it_held(&site);
    assert_eq!(machine.run(&LEFT_OVER, 0), "");
    lives_through_the_engines_end(&site, &machine);
    assert_eq!(machine.run(&LEFT_OVER, 0), "");
}

fn brings_back_what_it_held(site: &Site) {
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
    site.xtask(&["backup", "restore", "--undo", "--stack", "dev", "--yes"]).succeeds();
    assert_eq!(site.marked(), (2, 2));
    site.xtask(&["backup", "restore", "--drop", "--stack", "dev", "--yes"]).succeeds();
}

fn lives_through_the_engines_end(site: &Site, machine: &Machine) {
    let mut random = Random(seed());
    let id = site.backup(&[]);
    let (create, restore) = (["backup", "dev"], ["backup", "restore", &id, "--yes"]);
    for round in 0..if is_long() { 20 } else { 4 } {
        let args: &[&str] = if round % 2 == 0 { &create } else { &restore };
        let started = Instant::now();
        let mut command = site.command(args);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500 + random.below(6000)));
        machine.stop_engine();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        println!("round {round}: {args:?} ended after {:?}: {said}", started.elapsed());
        assert!(matches!(output.status.code(), Some(0 | 1)), "round {round}: {said}");
        assert!(site.whole_sets().contains(&id), "round {round}");
        machine.start_engine();
        site.up();
        // The set holds what is there, so that both ends of a restore are the same.
        assert_eq!(site.marked(), (2, 2), "round {round}");
    }
    site.backup(&[]);
    site.xtask(&["backup", "prune"]).succeeds();
    site.xtask(&["backup", "restore", "--drop", "--stack", "dev", "--yes"]).succeeds();
}
