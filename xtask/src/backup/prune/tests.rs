use super::*;
use crate::backup::example;

/// Those that stay of sets that were made at these times; a time that cannot be believed has a
/// question mark.
fn kept<'a>(texts: &[&'a str], keep: Keep) -> Vec<&'a str> {
    let time = |text: &&str| {
        let is_believed = !text.ends_with('?');
        is_believed.then(|| format!("{text}:00Z").parse().unwrap())
    };
    let times: Vec<_> = texts.iter().map(time).collect();
    choose(&times, keep).into_keys().map(|at| texts[at]).collect()
}

const NONE: Keep = Keep { last: 0, daily: 0, weekly: 0, monthly: 0 };

#[test]
fn the_newest_of_each_period_stays() {
    let all = [
        "2026-09-30T01:00",
        "2026-10-31T01:00",
        "2026-11-15T01:00",
        "2026-11-16T01:00",
        "2026-11-22T01:00",
        "2026-11-22T13:00",
        "2026-11-23T01:00",
    ];
    let keep = Keep { last: 2, ..NONE };
    assert_eq!(kept(&all, keep), ["2026-11-22T13:00", "2026-11-23T01:00"]);
    let keep = Keep { daily: 2, ..NONE };
    assert_eq!(kept(&all, keep), ["2026-11-22T13:00", "2026-11-23T01:00"]);
    // 15 November 2026 is a Sunday, the 16th and the 23rd are Mondays.
    let keep = Keep { weekly: 3, ..NONE };
    assert_eq!(kept(&all, keep), ["2026-11-15T01:00", "2026-11-22T13:00", "2026-11-23T01:00"]);
    let keep = Keep { monthly: 12, ..NONE };
    assert_eq!(kept(&all, keep), ["2026-09-30T01:00", "2026-10-31T01:00", "2026-11-23T01:00"]);
    assert_eq!(kept(&all, NONE), ["2026-11-23T01:00"], "what was made last stays");
}

#[test]
fn a_date_that_cannot_be_believed_takes_nobodys_place_and_costs_no_new_set() {
    let all = ["2026-11-21T01:00", "2026-11-22T01:00", "2027-11-22T01:00?", "2026-11-23T01:00"];
    assert_eq!(kept(&all, Keep { last: 1, ..NONE }), ["2027-11-22T01:00?", "2026-11-23T01:00"]);
    let keep = Keep { daily: 2, ..NONE };
    assert_eq!(kept(&all, keep), &all[1..]);
    // The clock has gone back before the last three were made.
    let all = ["2026-11-22T01:00", "1970-01-01T01:00?", "1970-01-01T02:00?", "1970-01-01T03:00?"];
    assert_eq!(kept(&all, Keep { daily: 2, ..NONE }), [all[0], all[2], all[3]]);
}

const LAST: Keep = Keep { last: 1, ..NONE };

/// The days of the sets that stay in a folder with sets of the 23rd and the 24th, after `change`
/// of the newest's object; and how often the newest was read.
fn pruned(keep: Keep, change: impl Fn(&std::path::Path)) -> (Result<Vec<String>>, usize) {
    let (folder, _, _place) = example::folder_with_block();
    let first = folder.sets().unwrap().0.remove(0);
    let mut manifest = first.manifest;
    manifest.started = "2026-11-24T13:15:00Z".parse().unwrap();
    let object = manifest.objects.first_mut().unwrap();
    let before = folder.path().join(&object.path);
    object.path = "objects/prometheus/20261124T131500Z-app-block.zst".try_into().unwrap();
    let newest = folder.path().join(&object.path);
    fs::copy(before, &newest).unwrap();
    manifest.commit(&folder.sets_path(), &example::key()).unwrap();
    fs::create_dir_all(folder.state()).unwrap();
    change(&newest);
    let report = crate::report::Report::new(crate::report::Verbosity::Quiet, false);
    let reads = std::cell::Cell::new(0);
    let prove = |set: &Set| {
        reads.set(reads.get() + 1);
        let (sets, keys) = (std::slice::from_ref(set), Default::default());
        verify::objects(&report, &folder, sets, verify::Depth::Full, &keys, true)
    };
    let chosen = Prune::choose(&folder, &["app".to_owned()], |_| true, keep, false, prove);
    let day = |(set, _): &(Set, String)| set.manifest.started.strftime("%d").to_string();
    (chosen.map(|prune| prune.kept.iter().map(day).collect()), reads.get())
}

#[test]
fn older_sets_go_once_the_newest_has_proven_itself() {
    let (kept, reads) = pruned(LAST, |_| {});
    assert_eq!((kept.unwrap(), reads), (vec!["24".to_owned()], 1));
}

#[test]
fn older_sets_stay_where_the_newest_is_damaged() {
    let (kept, _) = pruned(LAST, |object| fs::write(object, "x").unwrap());
    let error = format!("{:#}", kept.unwrap_err());
    assert!(error.contains("is damaged") && error.contains("older ones stay"), "{error}");
}

#[test]
fn where_nothing_would_go_nothing_is_asked() {
    let (kept, reads) = pruned(Keep { last: 2, ..NONE }, |object| fs::write(object, "x").unwrap());
    assert_eq!((kept.unwrap().len(), reads), (2, 0));
}

#[test]
fn only_objects_of_the_project_go() {
    let projects = ["a-b".to_owned()];
    for (path, goes) in [
        ("objects/postgres/20261123T131500Z-a-b-data.tar.zst", true),
        ("objects/postgres/.20261123T131500Z-a-b-data.tar.zst.X1.partial", true),
        ("objects/postgres/20261123T131500Z-a-data.tar.zst", false),
        ("objects/postgres/notes.txt", false),
        ("objects/é", false),
    ] {
        assert_eq!(is_object_of(path, &projects), goes, "{path}");
    }
}

#[test]
fn days_without_a_set_use_up_nothing() {
    let all = ["2026-01-01T01:00", "2026-06-01T01:00", "2026-11-23T01:00"];
    assert_eq!(kept(&all, Keep { daily: 2, ..NONE }), ["2026-06-01T01:00", "2026-11-23T01:00"]);
}
