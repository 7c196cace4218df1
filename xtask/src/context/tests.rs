use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::report::Verbosity;

const GOOD: &str = "COMPOSE_PROJECT_NAME=mine\nDATA_DIR=/srv/mine\nMETRICS_NETWORK=net\n";

/// A copy of the repository whose development stack has `env`, and monitoring a good one.
fn context(env: &str) -> (TempDir, Context) {
    let folder = tempfile::tempdir().unwrap();
    let shipped = super::root().join("infrastructure");
    let own = folder.path().join("infrastructure");
    for stack in ["development", "monitoring"].map(|name| format!("docker/{name}")) {
        fs::create_dir_all(own.join(&stack)).unwrap();
        for file in ["docker-compose.yml", "docker-compose.overlay.yml", ".env.example"] {
            symlink(shipped.join(&stack).join(file), own.join(&stack).join(file)).unwrap();
        }
    }
    symlink(shipped.join("stacks.toml"), own.join("stacks.toml")).unwrap();
    fs::write(own.join("docker/development/.env"), env).unwrap();
    fs::write(own.join("docker/monitoring/.env"), GOOD).unwrap();
    let root = folder.path().to_owned();
    let cx = Context {
        manifest: Manifest::load(&root).unwrap(),
        root,
        report: Report::new(Verbosity::Quiet, false),
        yes: false,
        dry_run: false,
        wait: false,
        overrides: Overrides::default(),
        left_out: LeftOut::default(),
    };
    (folder, cx)
}

fn names(stacks: Result<Vec<Stack>>) -> Vec<String> {
    stacks.unwrap().iter().map(|stack| stack.name().to_owned()).collect()
}

#[test]
fn what_is_wrong_with_one_stack_stops_the_other_only_where_it_was_named_with_it() {
    let (_folder, cx) = context(&format!("{GOOD}POSTGRES_DB=a$b\n"));
    assert!(cx.stacks(Some("dev")).is_err() && cx.stacks(Some("all")).is_err());
    assert!(cx.refuse_left_out().is_ok());
    assert_eq!(names(cx.stacks(None)), ["monitoring"]);
    assert_eq!(names(cx.stacks(None)), ["monitoring"]);
    let left = cx.refuse_left_out().unwrap_err().downcast::<Problem>().unwrap();
    assert_eq!((left.id, left.exit), ("env.ambiguous", Exit::Prerequisite));
    assert_eq!(left.message, "development was left out; the reason is above");
}

#[test]
fn what_needs_no_value_is_stopped_by_none() {
    let (_folder, cx) = context("COMPOSE_PROJECT_NAME=a$b\nPOSTGRES_DB='open\nnonsense\n");
    assert_eq!(names(cx.stacks_whatever_env_says(None)), ["development", "monitoring"]);
    assert_eq!(names(cx.stacks_to_check(None)), ["development", "monitoring"]);
    assert!(cx.refuse_left_out().is_ok());
}

#[test]
fn a_place_is_used_only_where_no_line_may_give_it_another() {
    for (more, is_clear) in [
        ("POSTGRES_DB=a$b\nnonsense\n", true),
        ("REDIS_PORT='open\n", true),
        ("COMPOSE_PROJECT_NAME=a$b\nCOMPOSE_PROJECT_NAME=mine\n", true),
        ("COMPOSE_PROJECT_NAME=a$b\n", false),
        ("COMPOSE_PROJECT_NAME: other\n", false),
        ("EXPORT COMPOSE_PROJECT_NAME=other\n", false),
        ("A=1\rCOMPOSE_PROJECT_NAME=other\n", false),
        ("REDIS_PORT='open\nDATA_DIR=/srv/mine\n", false),
        ("REDIS_PORT=\"open\\\"\nMETRICS_NETWORK=net\n", false),
        ("DATA_DIR=\"/srv/a\\tb\"\n", false),
        ("METRICS_NETWORK=${NET:-net}\n", false),
    ] {
        let (_folder, cx) = context(&format!("{GOOD}{more}"));
        assert_eq!(cx.stacks_by_place(Some("dev")).is_ok(), is_clear, "{more:?}");
    }
    let (folder, cx) = context("");
    let env = folder.path().join("infrastructure/docker/development/.env");
    fs::write(&env, [GOOD.as_bytes(), b"POSTGRES_DB=caf\xe9\n"].concat()).unwrap();
    assert!(cx.stacks_by_place(Some("dev")).is_ok());
    fs::write(&env, [GOOD.as_bytes(), b"DATA_DIR=/caf\xe9\n"].concat()).unwrap();
    assert!(cx.stacks_by_place(Some("dev")).is_err());
}

#[test]
fn a_stack_is_refused_with_every_line_that_is_unclear_and_counts() {
    let settled = "POSTGRES_DB=a$b\nPOSTGRES_DB=a\\b\nPOSTGRES_DB=\t\u{a0}1\nPOSTGRES_DB=db\n";
    assert!(context(&format!("{GOOD}{settled}")).1.stacks(Some("dev")).is_ok());
    for (more, lines) in [
        ("POSTGRES_DB=db\nPOSTGRES_DB=a$b\n", vec![5]),
        ("POSTGRES_DB='open\nPOSTGRES_DB=db\n", vec![4]),
        ("POSTGRES_DB=${A:?no}\nPOSTGRES_DB=db\n", vec![4]),
        ("POSTGRES_DB=a$b\nA=${POSTGRES_DB}\nPOSTGRES_DB=db\n", vec![5]),
        ("nonsense\nPOSTGRES_DB=a$b\n", vec![4, 5]),
    ] {
        let (_folder, cx) = context(&format!("{GOOD}{more}"));
        let said = cx.stacks(Some("dev")).unwrap_err().to_string();
        let is_named = |line: &usize| said.contains(&format!("development/.env:{line}: "));
        let named: Vec<_> = (1..=6).filter(is_named).collect();
        assert_eq!(named, lines, "{more:?}: {said}");
    }
}

#[test]
fn a_stack_that_is_read_anew_is_judged_anew() {
    let (folder, cx) = context(GOOD);
    let stack = cx.stack("dev").unwrap();
    let env = folder.path().join("infrastructure/docker/development/.env");
    fs::write(env, format!("{GOOD}POSTGRES_PASSWORD=a$b\n")).unwrap();
    assert!(cx.reload(&stack).is_err());
    let mut unclear = cx.reload_to_mend(&stack).unwrap();
    use crate::setup::recovered::Lost;
    let refused =
        crate::setup::env_file::plan(&mut unclear, false, Lost::Refused).unwrap_err().to_string();
    assert!(refused.contains(".env:4: POSTGRES_PASSWORD: "), "{refused}");
    assert_eq!(unclear.env.text().unwrap().lines().count(), 4, "nothing is generated");
}
