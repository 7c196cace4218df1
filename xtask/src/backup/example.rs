//! A backup folder for tests.

use tempfile::TempDir;

use super::folder::Folder;
use super::object::{Format, Object, Pending};
use super::set::{Content, Manifest, SCHEMA};

/// A folder with one set of `app`, which has a block of Prometheus; the block's key; and what removes
/// the folder when dropped.
pub(super) fn folder_with_block() -> (Folder, String, TempDir) {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::at(place.path());
    let format = Format { level: 1, recipients: Vec::new() };
    let path = "objects/prometheus/20261123T131500Z-app-block.zst";
    let key = "01AAAAAAAAAAAAAAAAAAAAAAAA:digest".to_owned();
    let object = Object {
        service: "prometheus".try_into().unwrap(),
        content: Content::Dump,
        path: path.try_into().unwrap(),
        key: Some(key.clone()),
    };
    let written =
        Pending::write(&mut &b"block"[..], &folder.path().join(path), &format, &mut |_| {});
    let started = "2026-11-23T13:15:00Z".parse().unwrap();
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        project: "app".try_into().unwrap(),
        stack: "monitoring".try_into().unwrap(),
        started,
        finished: started,
        recipients: Vec::new(),
        services: Vec::new(),
        objects: vec![written.unwrap().commit(object).unwrap()],
    };
    std::fs::create_dir_all(folder.sets_path()).unwrap();
    manifest.commit(&folder.sets_path()).unwrap();
    (folder, key, place)
}
