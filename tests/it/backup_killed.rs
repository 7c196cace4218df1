//! Backups and restores that are killed at any moment: never a set that does not verify, never
//! data lost, never a left-over that blocks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tests::composes::FULL;
use tests::{Random, Site, is_long, seed};
use xtask::backup::folder::Folder;

/// Shows, when its test fails, what the last killed command said and what it has left.
struct Scene<'a> {
    site: &'a Site,
    said: NamedTempFile,
}

impl<'a> Scene<'a> {
    fn of(site: &'a Site) -> Self {
        Self { site, said: NamedTempFile::new().unwrap() }
    }

    fn start(&self, args: &[&str]) -> Child {
        self.said.as_file().set_len(0).unwrap();
        let said = self.said.reopen().unwrap();
        self.site.command(args).stdout(Stdio::null()).stderr(said).spawn().unwrap()
    }

    /// Starts a command and kills it with SIGKILL after some milliseconds.
    fn kill(&self, args: &[&str], after: u64) {
        let mut child = self.start(args);
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts a command and kills it with SIGKILL once the engine has made the `nth` of its helper
    /// containers, none of which runs yet. `false` when it ends before.
    fn kill_at_helper(&self, args: &[&str], nth: usize) -> bool {
        let label = format!("label=case-interview.helper={}", self.site.project());
        let mut events = Command::new("docker");
        events.args(["events", "--filter", "event=create", "--filter", &label, "--since", "0s"]);
        let mut events = events.stdout(Stdio::piped()).spawn().unwrap();
        let mut made = BufReader::new(events.stdout.take().unwrap()).lines();
        let mut child = self.start(args);
        let killed = std::thread::scope(|scope| {
            let seen = scope.spawn(move || made.nth(nth - 1).is_some());
            while !seen.is_finished() && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let killed = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            events.kill().unwrap();
            killed
        });
        events.wait().unwrap();
        killed
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            const SHOW: &str = r#"
echo '--- the killed command said'; cat "$1"
echo '--- state and journal'; tail -n +1 "$2"/state/*.json
echo '--- data and backups'; ls -lan "$2" "$2"/state "$3"/*
echo '--- containers'; docker ps --all | grep "$4""#;
            let mut show = Command::new("sh");
            show.args(["-c", SHOW, "sh"]).arg(self.said.path()).arg(self.site.data());
            let _ = show.arg(self.site.backups()).arg(self.site.project()).status();
        }
    }
}

#[test]
fn create_prune_and_restore_survive_being_killed_at_any_moment() {
    let mut random = Random(seed());
    let rounds = if is_long() { 240 } else { 3 };
    let site = Site::new("backupkill", &[FULL[1]]);
    let scene = Scene::of(&site);
    site.up();
    site.mark(0);
    let took = |args: &[&str]| {
        let started = Instant::now();
        site.xtask(args).succeeds();
        u64::try_from(started.elapsed().as_millis()).unwrap()
    };
    let create = ["backup", "dev"];
    let prune = [
        "backup",
        "prune",
        "--keep-last",
        "1",
        "--keep-daily",
        "0",
        "--keep-weekly",
        "0",
        "--keep-monthly",
        "0",
        "--force",
    ];
    let create_took = took(&create);
    let restore_took = took(&["backup", "restore", "latest", "--yes"]);
    site.backup(&[]);
    let prune_took = took(&prune);
    let mut words: BTreeMap<_, _> = site.whole_sets().into_iter().map(|id| (id, 0)).collect();
    for round in 1..=rounds {
        site.mark(round);
        let latest = words.keys().next_back().unwrap().clone();
        let restore = ["backup", "restore", &latest, "--yes"];
        let (args, whole): (&[&str], _) = match round % 3 {
            0 => (&prune, prune_took),
            1 => (&create, create_took),
            _ => (&restore, restore_took),
        };
        let after = random.below(whole);
        println!("round {round}: `{}` killed after {after} of {whole} ms", args.join(" "));
        scene.kill(args, after);

        let there = site.whole_sets();
        assert!(there.contains(&latest), "round {round}: {latest} is gone");
        for id in there {
            words.entry(id).or_insert(round);
        }
        site.once_free(&["up", "dev"]);
        let is = site.marked();
        let restored = words[&latest];
        let may_be = if round % 3 == 2 { vec![round, restored] } else { vec![round] };
        assert!(is.0 == is.1 && may_be.contains(&is.0), "round {round}: {is:?}, not {may_be:?}");
        site.once_free(&DROP);
        assert!(site.kept().is_empty(), "round {round}: {:?}", site.kept());
        assert!(site.left_over().is_empty(), "round {round}: {:?}", site.left_over());
        if round % 3 == 0 {
            let id = site.backup(&[]);
            words.insert(id, is.0);
        }
    }
    site.once_free(&prune);
    site.xtask(&["backup", "verify", "--deep"]).succeeds();
    site.xtask(&["backup", "drill"]).succeeds();
}

const DROP: [&str; 5] = ["backup", "restore", "dev", "--drop", "--yes"];

/// Kills the command at each helper that it starts, in turn, when nobody is left to open the other
/// end of the pipe that the helper opens.
fn kill_at_each_helper(scene: &Scene, args: &[&str], next: &str) {
    let (site, line) = (scene.site, args.join(" "));
    for nth in 1.. {
        if !scene.kill_at_helper(args, nth) {
            println!("`{line}` starts {} helpers", nth - 1);
            assert!(nth > 1, "`{line}` starts no helper");
            return;
        }
        println!("killed at helper {nth} of `{line}`");
        site.once_free(&[next, "dev"]);
        assert_eq!(site.marked(), (1, 1), "`{line}` killed at helper {nth}");
        site.once_free(&DROP);
        assert!(site.left_over().is_empty(), "{:?}", site.left_over());
        assert!(site.kept().is_empty(), "{:?}", site.kept());
    }
}

#[test]
fn a_backup_killed_at_a_helper_holds_nothing_up() {
    let site = Site::new("helperkill", &[FULL[1]]);
    site.up();
    site.mark(1);
    kill_at_each_helper(&Scene::of(&site), &["backup", "dev"], "setup");
    site.backup(&[]);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_restore_killed_at_a_helper_holds_nothing_up() {
    let site = Site::new("helperkill2", &[FULL[1]]);
    site.up();
    site.mark(1);
    let set = site.backup(&[]);
    let scene = Scene::of(&site);
    kill_at_each_helper(&scene, &["backup", "restore", &set, "--yes"], "up");
    // What that one has kept at last.
    kill_at_each_helper(&scene, &DROP, "up");
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_helper_or_a_server_that_dies_in_mid_stream_makes_no_set() {
    let site = Site::new("midstream", &[FULL[1]]);
    site.up();
    site.sql("create table noise as select md5(random()::text) || md5(random()::text) as t from generate_series(1, 3000000)");
    let docker = |args: &[&str]| {
        let output = Command::new("docker").args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let helper = format!("label=case-interview.helper={}", site.project());
    for victim in [&helper, "postgres"] {
        let child = site
            .command(&["backup", "dev"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let object = || {
            let written = std::fs::read_dir(site.backups().join("objects/postgres"))
                .into_iter()
                .flatten()
                .flatten();
            written
                .into_iter()
                .any(|entry| entry.metadata().is_ok_and(|facts| facts.len() > 1 << 20))
        };
        let deadline = Instant::now() + Duration::from_secs(120);
        while !object() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = if victim == helper {
            docker(&["ps", "--quiet", "--filter", &helper])
        } else {
            let project = format!("label=com.docker.compose.project={}", site.project());
            docker(&[
                "ps",
                "--quiet",
                "--filter",
                &project,
                "--filter",
                "label=com.docker.compose.service=postgres",
            ])
        };
        docker(&["kill", &id]);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{victim}: {said}");
        assert!(site.whole_sets().is_empty());
        let folder = Folder::at(site.backups());
        assert!(folder.objects().unwrap().is_empty(), "{victim}: {:?}", folder.objects());
        assert!(site.left_over().is_empty(), "{victim}: {:?}", site.left_over());
        site.up();
    }
    site.backup(&[]);
    site.xtask(&["backup", "verify", "--deep"]).succeeds();
}

#[test]
fn an_interrupted_backup_says_so_and_leaves_nothing() {
    let site = Site::new("backupctrlc", &[FULL[1]]);
    site.up();
    site.sql("create table noise as select md5(random()::text) || md5(random()::text) as t from generate_series(1, 3000000)");
    let mut command = site.command(&["backup", "dev"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let folder = site.backups().join("objects/postgres");
    let deadline = Instant::now() + Duration::from_secs(120);
    while std::fs::read_dir(&folder).map_or(0, Iterator::count) == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(Folder::at(site.backups()).objects().unwrap().is_empty());
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
    site.backup(&[]);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_drill_that_is_killed_leaves_nothing_after_the_next_backup_command() {
    let site = Site::new("drillkill", &[FULL[1]]);
    site.up();
    site.backup(&[]);
    let mut random = Random(seed());
    for _ in 0..if is_long() { 20 } else { 3 } {
        let mut child = site
            .command(&["backup", "drill"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(500 + random.below(6000)));
        child.kill().unwrap();
        child.wait().unwrap();
        site.xtask(&["backup", "prune"]).succeeds();
        assert!(site.left_over().is_empty(), "{:?}", site.left_over());
    }
    site.xtask(&["backup", "drill"]).succeeds();
    assert!(site.left_over().is_empty(), "{:?}", site.left_over());
}
