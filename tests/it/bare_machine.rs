//! A machine that has nothing: a container of Debian, in which xtask installs and starts an engine
//! of its own.

use tests::composes::FULL;
use tests::machine::Machine;
use tests::{Site, is_long};

#[test]
#[ignore = "for cargo xtask test --long"]
fn one_command_is_enough_on_a_machine_that_has_nothing() {
    let machine = Machine::new("bare");
    let said = machine.xtask(&["doctor", "dev"], 3);
    assert!(said.contains("there is no `docker` command"), "{said}");
    if !is_long() {
        machine.xtask(&["doctor", "dev", "--fix"], 0);
        machine.load_images();
    }
    let said = machine.xtask(&["up", "dev", "--fix", "--offline"], 0);
    assert!(said.contains("postgres: database answers"), "{said}");
    machine.xtask(&["doctor", "dev"], 0);

    // To this machine, that engine is a remote one.
    let site = Site::new("remote", &[FULL[1]]);
    let run = |words: &[&str], status: i32| {
        let output = site.command(words).env("DOCKER_HOST", machine.address()).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(status), "{words:?}: {said}");
        said
    };
    run(&["env", "init", "dev"], 0);
    // From here, the other machine's loopback is out of reach.
    site.set_env("BIND_ADDRESS", "0.0.0.0");
    let said = run(&["doctor", "dev"], 0);
    assert!(said.contains("is on another machine"), "{said}");
    assert!(said.contains("whether ports are free is unknown"), "{said}");
    run(&["up", "dev", "--offline"], 0);
    run(&["down", "dev", "--purge", "--yes"], 0);
}
