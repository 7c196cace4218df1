//! What a restore decides before it asks the engine or touches anything.

use std::path::{Path, PathBuf};

use super::*;
use crate::backup::config::Config;
use crate::backup::example;
use crate::backup::set::Set;
use crate::backup::signature::believe;
use crate::stack::Overrides;
use crate::stack::manifest::Manifest;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A copy of the development stack without `.env`.
fn development(data: &Path) -> Stack {
    let root = root();
    let manifest = Manifest::load(&root).unwrap();
    let project = Some("unit-test".to_owned());
    let overrides = Overrides { project, data_dir: Some(data.to_owned()) };
    Stack::load(&root, manifest.select("dev").unwrap()[0], &overrides).unwrap()
}

/// What comes of a restore of `set`, of these services alone where some are named.
fn with<T>(set: &Set, only: &[&str], look: impl Fn(&Request, Vec<Item>) -> Result<T>) -> Result<T> {
    let place = tempfile::tempdir().unwrap();
    let (stack, folder) = (development(place.path()), Folder::at(place.path()));
    let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
    let keys = Keys::default();
    let set = believe(set, &Config::load(&root()).unwrap(), false).unwrap();
    let extent = Extent::Everything;
    let request = Request { stack: &stack, folder: &folder, set, only: &only, keys, extent };
    look(&request, request.items()?)
}

#[test]
fn what_was_named_is_restored_and_goes_to_its_data_directory() {
    let set = example::development();
    let steps = with(&set, &["redis"], |request, _| request.steps()).unwrap();
    let [step] = steps.as_slice() else { panic!("{steps:?}") };
    assert!(step.starts_with("redis: 2.0 KB of 2026-11-23T13:15:00Z goes to /"), "{step}");
    assert!(step.contains("/redis; what is there now is kept"), "{step}");
}

#[test]
fn what_the_set_does_not_hold_is_not_restored() {
    let mut set = example::development();
    let error =
        |set: &Set, only: &[&str]| format!("{:#}", with(set, only, |_, _| Ok(())).unwrap_err());
    assert!(error(&set, &["grafana"]).contains("holds no grafana"));
    assert!(error(&set, &[]).contains("the set holds no postgres"), "it has a dump alone");
    set.manifest.services[0].facts.method = "mysql".to_owned();
    assert!(error(&set, &["redis"]).contains("`mysql` is not a way to back up"));
}

#[test]
fn data_of_an_offline_image_is_not_opened_by_the_upstream_one() {
    let refused = |set: &Set| {
        with(set, &["redis"], |request, items| {
            items.iter().try_for_each(|item| request.refuse_other_kind(item))
        })
    };
    let mut set = example::development();
    refused(&set).unwrap();
    let place = tempfile::tempdir().unwrap();
    let offline =
        development(place.path()).service("redis").unwrap().offline_image.clone().unwrap();
    set.manifest.services[0].image = offline.as_str().try_into().unwrap();
    let error = refused(&set).unwrap_err().to_string();
    assert!(error.contains("must not be opened by"), "{error}");
}
