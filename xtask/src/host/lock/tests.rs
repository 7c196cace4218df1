//! Who holds a lock, and attacks on it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::*;

fn take(path: &Path) -> Result<Lock> {
    Lock::take(path, "test", IfHeld::Fail, |_| {})
}

/// Programs that tests beside this one start hold its locks too, until they end.
fn take_in_the_end(path: &Path) -> Lock {
    Lock::take(path, "test", IfHeld::Wait, |_| {}).unwrap()
}

/// The number of a process that has ended.
fn ended() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn a_second_taker_is_told_who_holds_it_and_succeeds_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(folder.path(), "project");
    assert_eq!(held_by(&path), None);
    let first = take(&path).unwrap();
    let words = format!("`cargo xtask test` (process {})", std::process::id());
    assert_eq!(held_by(&path).unwrap().to_string(), words);
    let error = take(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{words} is at work on this project"));
    drop(first);
    take_in_the_end(&path);
}

#[test]
fn who_finds_it_held_is_always_told_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(folder.path(), "project");
    let takers = 8;
    let start = std::sync::Barrier::new(takers);
    let told: Vec<_> = std::thread::scope(|scope| {
        let taker = |number| {
            let (path, start) = (&path, &start);
            scope.spawn(move || {
                start.wait();
                let mine = Lock::take(path, &format!("taker {number}"), IfHeld::Fail, |_| {});
                // Nobody lets go before everybody has tried.
                start.wait();
                mine.map(|_| number).map_err(|error| error.to_string())
            })
        };
        let running: Vec<_> = (0..takers).map(taker).collect();
        running.into_iter().map(|taker| taker.join().unwrap()).collect()
    });
    let winners: Vec<_> = told.iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{told:?}");
    for said in told.iter().filter_map(|told| told.as_ref().err()) {
        assert!(
            said.starts_with(&format!("`cargo xtask taker {}` (process", winners[0])),
            "{told:?}"
        );
    }
}

#[test]
fn a_child_holds_it_on_after_its_parent_and_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = path(folder.path(), "project");
    let lock = take(&path).unwrap();
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    drop(lock);
    assert!(matches!(held_by(&path), Some(Holder::Ended(_))));
    let error = take(&path).unwrap_err().to_string();
    assert!(error.contains("(process ") && error.contains("has ended, but"), "{error}");
    let told = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(SILENT * 2);
            drop(child.stdin.take());
            child.wait().unwrap();
        });
        let waiting = |holder: &Holder| told.lock().unwrap().push(holder.to_string());
        Lock::take(&path, "test", IfHeld::Fail, waiting).unwrap();
    });
    let told = told.into_inner().unwrap();
    assert!(told.len() == 1 && told[0].starts_with("what `cargo xtask test` (process"), "{told:?}");
}

#[test]
fn a_dead_process_is_not_said_to_be_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let file = fs::File::create(&path).unwrap();
    fs::write(&path, format!("`cargo xtask up dev` (process {})\n", ended())).unwrap();
    file.lock().unwrap();
    assert!(matches!(held_by(&path), Some(Holder::Ended(_))));
    for words in ["", "nonsense\n", "`cargo xtask up dev` (process 1", "x (process 99999999999)\n"]
    {
        fs::write(&path, words).unwrap();
        assert_eq!(held_by(&path), Some(Holder::Unknown), "{words}");
    }
    let mut killed = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    killed.kill().unwrap();
    fs::write(&path, format!("`cargo xtask up dev` (process {})\n", killed.id())).unwrap();
    // Nobody has asked yet how it ended.
    while !matches!(held_by(&path), Some(Holder::Ended(_))) {
        std::thread::sleep(POLL);
    }
    killed.wait().unwrap();
}

#[test]
fn nobody_else_can_open_it_be_it_new_or_made_by_an_earlier_version() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join(".state");
    fs::create_dir(&state).unwrap();
    let old = state.join("old.lock");
    fs::write(&old, "").unwrap();
    for (path, mode) in [(&state, 0o755), (&old, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let new = state.join("new.lock");
    let locks = [take(&old).unwrap(), take(&new).unwrap()];
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&old), mode(&new)), (0o700, 0o600, 0o600));
    drop(locks);
}

#[test]
fn what_is_put_in_its_place_is_neither_written_nor_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (path, victim) = (folder.path().join("lock"), folder.path().join("victim"));
    fs::write(&victim, "dear").unwrap();
    let refused = |why: &str| {
        let error = format!("{:#}", take(&path).unwrap_err());
        assert!(error.contains(why), "{error}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "dear");
        fs::remove_file(&path).unwrap();
    };
    std::os::unix::fs::symlink(&victim, &path).unwrap();
    refused("is a symbolic link");
    fs::hard_link(&victim, &path).unwrap();
    refused("has a second name");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    refused("is a named pipe");
    take(&path).unwrap();
}

#[test]
fn the_folder_held_by_another_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let held = fs::File::open(folder.path()).unwrap();
    held.lock().unwrap();
    take(&folder.path().join("lock")).unwrap();
}
