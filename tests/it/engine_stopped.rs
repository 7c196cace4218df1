//! The engine stops while a backup or a restore is under way, and comes back.

use std::process::Stdio;
use std::time::Duration;

use tests::machine::Machine;
use tests::{Random, is_long, seed};

const LEFT_OVER: [&str; 6] =
    ["docker", "ps", "--all", "--quiet", "--filter", "label=case-interview.helper"];

/// Writes `word` where PostgreSQL and Redis keep it.
fn mark(machine: &Machine, word: u64) {
    let sql = format!(
        "create table if not exists mark (n bigint); truncate mark; insert into mark values ({word})"
    );
    machine.xtask(&["shell", "dev", "postgres", "--", "-qX", "-c", &sql], 0);
    machine.xtask(&["shell", "dev", "redis", "--", "set", "mark", &word.to_string()], 0);
}

/// What both have of it.
fn marked(machine: &Machine) -> (u64, u64) {
    let number = |words: &[&str]| {
        let said = machine.xtask(&[&["shell", "dev"], words].concat(), 0);
        said.trim().parse().unwrap_or_else(|_| panic!("{words:?}: {said}"))
    };
    (
        number(&["postgres", "--", "-AtqX", "-c", "select n from mark"]),
        number(&["redis", "--", "get", "mark"]),
    )
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn an_engine_that_stops_half_way_costs_no_data_and_no_set() {
    let mut random = Random(seed());
    let machine = Machine::new("stopped");
    machine.xtask(&["doctor", "dev", "--fix"], 0);
    machine.load_images();
    machine.xtask(&["up", "dev", "--offline"], 0);
    mark(&machine, 1);
    machine.xtask(&["backup", "dev"], 0);
    let sets = "ls /data/backups/sets";
    let set = machine.run(&["sh", "-c", sets], 0);
    let set = set.split('.').next().unwrap().to_owned();
    for round in 0..if is_long() { 20 } else { 4 } {
        let now = round + 2;
        mark(&machine, now);
        let restore = ["/xtask", "backup", "restore", &set, "--yes"];
        let (words, may_be) = match round % 2 {
            0 => (&["/xtask", "backup", "dev"][..], vec![now]),
            _ => (&restore[..], vec![now, 1]),
        };
        let mut command = machine.command(words);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let after = random.below(6000);
        std::thread::sleep(Duration::from_millis(after));
        machine.stop_engine();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        println!("{words:?}, the engine stopped after {after} ms: {}\n{said}", output.status);
        machine.start_engine();
        machine.xtask(&["up", "dev"], 0);
        let is = marked(&machine);
        assert!(is.0 == is.1 && may_be.contains(&is.0), "{is:?}, not {may_be:?}");
        machine.xtask(&["backup", "verify", "--deep"], 0);
        assert_eq!(machine.run(&LEFT_OVER, 0), "");
        machine.xtask(&["backup", "restore", "dev", "--drop", "--yes"], 0);
        let names = machine.run(&["ls", "/data"], 0);
        assert!(!names.contains('.'), "{names}");
    }
    machine.xtask(&["backup", "dev"], 0);
    machine.xtask(&["backup", "drill"], 0);
}
