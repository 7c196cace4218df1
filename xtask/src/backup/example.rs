//! Sets for tests.

use std::path::PathBuf;

use tempfile::TempDir;

use super::folder::Folder;
use super::object::{Format, Object, Pending};
use super::origin::{Origin, Trust};
use super::set::{Content, Manifest, SCHEMA, Set};
use crate::host::signature::SigningKey;

/// What signs the sets.
pub(crate) fn key() -> SigningKey {
    SigningKey::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
}

/// A folder with one set of `app`, which has a block of Prometheus; the block's key; and what removes
/// the folder when dropped.
pub(super) fn folder_with_block() -> (Folder, String, TempDir) {
    let place = tempfile::tempdir().unwrap();
    let key = key();
    let ours = [key.public().unwrap()].into();
    let folder = Folder::at(place.path()).believing(Trust { ours, ..Trust::default() });
    let format = Format { level: 1, recipients: Vec::new() };
    let path = "objects/prometheus/20261123T131500Z-app-block.zst";
    let block = "01AAAAAAAAAAAAAAAAAAAAAAAA:digest".to_owned();
    let object = Object {
        service: "prometheus".try_into().unwrap(),
        content: Content::Dump,
        path: path.try_into().unwrap(),
        key: Some(block.clone()),
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
        folder: None,
        sequence: None,
        missing: Vec::new(),
        services: Vec::new(),
        objects: vec![written.unwrap().commit(object).unwrap()],
    };
    std::fs::create_dir_all(folder.sets_path()).unwrap();
    manifest.commit(&folder.sets_path(), &key).unwrap();
    (folder, block, place)
}

/// A set of the development stack that holds Redis and a dump of PostgreSQL.
pub(crate) fn development() -> Set {
    const MANIFEST: &str = r#"{"schema":"case-interview.backup-set/v1","project":"app",
"stack":"development","started":"2026-11-23T13:15:00Z","finished":"2026-11-23T13:15:01Z","recipients":[],
"services":[{"name":"redis","image":"redis:6","image_id":"sha256:ab","image_digests":[],"data":"redis",
"memory_limit":0,"facts":{"method":"redis","version":"6.2.14","keys":{},"expiring":0}},
{"name":"postgres","image":"supabase/postgres:14.1.0","image_id":"sha256:cd","image_digests":[],
"data":"postgres","memory_limit":0,"facts":{"method":"postgres","version":"14.1","major":14,"user":"postgres",
"system_identifier":"7","begin_lsn":"0/1","end_lsn":"0/2","preload":"","databases":[]}}],
"objects":[{"service":"redis","content":"data","path":"objects/redis/20261123T131500Z-app-data.tar.zst",
"sha256":"0000000000000000000000000000000000000000000000000000000000000000","bytes":1,"content_bytes":2048,
"seconds":0.1},{"service":"postgres","content":"dump","seconds":0.1,"bytes":1,"content_bytes":1,
"path":"objects/postgres/20261123T131500Z-app-dump-app.zst",
"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}]}"#;
    let manifest: Manifest = serde_json::from_str(MANIFEST).unwrap();
    Set { id: manifest.id().unwrap(), path: PathBuf::new(), manifest, origin: Origin::Ours }
}
