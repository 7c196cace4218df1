use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

/// Ends the script instead of its command number `$limit`.
const ENDING: &str = r#"
step() { n=$((n + 1)); [ $n -le $limit ] || exit 9; command "$@"; }
mv() { step mv "$@"; }
rmdir() { step rmdir "$@" 2>/dev/null; }
sync() { step true; }
n=0"#;

/// What may lie where a server looks, once its directory was moved away.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stray {
    Nothing,
    Empty,
    Filled,
}

fn swap(data: &Path, limit: u32) -> Option<i32> {
    let script = SWAP.replace("/data", data.to_str().unwrap());
    let script = format!("limit={limit}{ENDING}\n{script}");
    let mut sh = Command::new("sh");
    sh.args(["-euc", &script, "sh", "a", "a.new", "a.old", "b", "b.new", "b.old"]);
    sh.status().unwrap().code()
}

fn put(folder: &Path, word: &str) {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("word"), word).unwrap();
}

/// Every directory's word, those of strays under one name.
fn words(data: &Path) -> BTreeSet<(String, String)> {
    let entries = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let word = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = name.split_once(".stray").map_or(name.as_str(), |_| "stray").to_owned();
        (name, fs::read_to_string(path.join("word")).unwrap_or_default())
    };
    entries.map(|path| word(&path)).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    pairs.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect()
}

#[test]
fn an_exchange_that_ends_anywhere_is_finished_by_the_next_and_loses_nothing() {
    let swapped = [("a", "new"), ("a.old", "old"), ("b", "new"), ("b.old", "old")];
    for stray in [Stray::Nothing, Stray::Empty, Stray::Filled] {
        for limit in 0..=5 {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path();
            for name in ["a", "b"] {
                put(&data.join(name), "old");
                put(&data.join(format!("{name}.new")), "new");
            }
            assert_eq!(swap(data, limit), Some(if limit == 5 { 0 } else { 9 }));
            let mut expected = pairs(&swapped);
            for path in ["a", "b"].map(|name| data.join(name)) {
                match stray {
                    _ if path.exists() => {}
                    Stray::Nothing => {}
                    Stray::Empty => fs::create_dir(&path).unwrap(),
                    Stray::Filled => {
                        put(&path, "stray");
                        expected.insert(("stray".to_owned(), "stray".to_owned()));
                    }
                }
            }
            // The second attempt ends early too.
            for again in [1, 99, 99] {
                swap(data, again);
            }
            assert_eq!(words(data), expected, "{stray:?}, ended at {limit}");
        }
    }
}

#[test]
fn a_directory_that_was_missing_before_gets_the_new_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    put(&data.join("a.new"), "new");
    put(&data.join("b"), "old");
    assert_eq!(swap(data, 99), Some(0));
    assert_eq!(words(data), pairs(&[("a", "new"), ("b", "old")]));
}
