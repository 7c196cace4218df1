//! Backup sets as tests look at them and forge them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use xtask::backup::folder::Folder;
use xtask::backup::object::Keys;
use xtask::backup::origin;
use xtask::backup::verify::{self, Depth};
use xtask::host::signature::SigningKey;
use xtask::report::finding::Severity;
use xtask::report::{Report, Verbosity};

use crate::{Site, docker};

impl Site {
    /// Makes a set and returns its id.
    pub fn backup(&self, args: &[&str]) -> String {
        let args = [&["backup", "create", "dev", "--json"], args].concat();
        let document = self.xtask(&args).succeeds().json();
        document["sets"][0]["id"].as_str().expect("a set").to_owned()
    }

    /// The backup folder.
    pub fn backups(&self) -> PathBuf {
        self.data().join("backups")
    }

    /// The ids of the sets that are there, the oldest first. Fails the test unless each is whole.
    #[track_caller]
    pub fn whole_sets(&self) -> Vec<String> {
        let folder = Folder::at(self.backups());
        let (sets, damaged) = folder.sets().unwrap();
        assert!(damaged.is_empty(), "{damaged:?}");
        let report = Report::new(Verbosity::Quiet, false);
        let found =
            verify::objects(&report, &folder, &sets, Depth::Deep, &Keys::default(), true).unwrap();
        let wrong: Vec<_> = found.iter().filter(|one| one.severity == Severity::Error).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        sets.into_iter().map(|set| set.id.to_string()).collect()
    }

    /// Writes `word` where PostgreSQL and Redis keep it.
    pub fn mark(&self, word: u64) {
        self.sql(&format!("create table if not exists mark (n bigint); truncate mark; insert into mark values ({word})"));
        self.redis(&["set", "mark", &word.to_string()]);
    }

    /// What both have of [`Site::mark`].
    pub fn marked(&self) -> (u64, u64) {
        let postgres = self.sql("select n from mark").parse().unwrap();
        (postgres, self.redis(&["get", "mark"]).parse().unwrap())
    }

    /// The manifest of the set `id`, and where it lies.
    pub fn manifest(&self, id: &str) -> (PathBuf, Value) {
        let entries = fs::read_dir(self.backups().join("sets")).expect("sets");
        let path = entries
            .flatten()
            .map(|entry| entry.path())
            .find(|path| {
                let name = path.file_name().unwrap().to_string_lossy();
                name.starts_with(&format!("{id}.")) && name.ends_with(".json")
            })
            .expect("the manifest");
        let value = serde_json::from_slice(&fs::read(&path).unwrap()).expect("JSON");
        (path, value)
    }

    /// Replaces the set's manifest by what `change` makes of it, with the digest in its name and the
    /// signature right again, as somebody would who has this machine's key.
    pub fn forge(&self, id: &str, change: impl FnOnce(&mut Value)) -> String {
        let (path, mut manifest) = self.manifest(id);
        change(&mut manifest);
        fs::remove_file(path).unwrap();
        self.write_manifest(&manifest)
    }

    /// As [`Site::forge`], with the set from before still there.
    pub fn forge_another(&self, id: &str, change: impl FnOnce(&mut Value)) -> String {
        let (_, mut manifest) = self.manifest(id);
        change(&mut manifest);
        self.write_manifest(&manifest)
    }

    /// As [`Site::forge_another`], by somebody who does not have this machine's key.
    pub fn forge_unsigned(&self, id: &str, change: impl FnOnce(&mut Value)) -> String {
        let forged = self.forge_another(id, change);
        fs::remove_file(origin::path(&self.manifest(&forged).0)).unwrap();
        forged
    }

    /// The key with which this machine signs.
    pub fn signing_key(&self) -> SigningKey {
        let key = self.data().join("state/backup-signing.key");
        SigningKey::parse(&fs::read_to_string(key).unwrap()).unwrap()
    }

    fn write_manifest(&self, manifest: &Value) -> String {
        let text = serde_json::to_string_pretty(manifest).unwrap();
        let compact = |time: &Value| {
            time.as_str().unwrap().chars().filter(|c| !matches!(c, '-' | ':')).collect::<String>()
        };
        let id = format!(
            "{}-{}-{}",
            compact(&manifest["started"]),
            manifest["project"].as_str().unwrap(),
            manifest["stack"].as_str().unwrap()
        );
        let name = format!("{id}.{}.json", xtask::host::digest::sha256(text.as_bytes()));
        let path = self.backups().join("sets").join(name);
        let signature = self.signing_key().sign(text.as_bytes(), "forged");
        fs::write(origin::path(&path), signature).unwrap();
        fs::write(path, text).unwrap();
        id
    }

    /// Helper containers, containers and volumes of drills, pipes and half-written files: what
    /// nothing may leave behind.
    pub fn left_over(&self) -> Vec<String> {
        let helper = format!("label=case-interview.helper={}", self.project());
        let drill = format!("{helper}-drill");
        let mut found = Vec::new();
        for filter in [&helper, &drill] {
            let containers = docker(&["ps", "--all", "--format", "{{.Names}}", "--filter", filter]);
            let volumes = docker(&["volume", "ls", "--quiet", "--filter", filter]);
            found.extend(containers.lines().chain(volumes.lines()).map(str::to_owned));
        }
        let state = fs::read_dir(self.backups().join("state")).into_iter().flatten().flatten();
        let names = state.map(|entry| entry.file_name().to_string_lossy().into_owned());
        found.extend(names.filter(|name| name.starts_with("pipe.") || name.ends_with(".partial")));
        found
    }

    /// The data directories that restores keep or have left beside those in use.
    pub fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data()).expect("the data directory").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains('.')).collect()
    }

    /// Runs SQL in the stack's database as its user.
    pub fn sql(&self, sql: &str) -> String {
        let args = ["shell", "dev", "postgres", "--", "-AtqX", "-v", "ON_ERROR_STOP=1", "-c", sql];
        self.xtask(&args).succeeds().stdout.trim().to_owned()
    }

    /// Runs a command of Redis.
    pub fn redis(&self, words: &[&str]) -> String {
        let args = [&["shell", "dev", "redis", "--"], words].concat();
        self.xtask(&args).succeeds().stdout.trim().to_owned()
    }
}
