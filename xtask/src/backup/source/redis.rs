//! Redis: a background save that is waited for and checked, then its file.

pub mod facts;
mod questions;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};

pub use self::facts::Facts;
use super::{Client, Part, Source, Stream, Subject};
use crate::backup::set::Content;
use crate::docker::helper::Helper;
use crate::process::{Output, check_interrupted};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;

/// Without a password in a drill.
pub const CLIENT: &str = r#"if [ -n "${REDIS_PASSWORD-}" ]; then export REDISCLI_AUTH="$REDIS_PASSWORD"; fi; exec redis-cli --no-auth-warning "$@""#;

/// The file in the data directory and in the archive.
pub const FILE: &str = "dump.rdb";

/// Between two questions how far a save is.
const POLL: Duration = Duration::from_millis(50);

/// Redis writes beside and renames, so the file is whole at every moment.
const COPY: &str = r#"exec tar -c -f - -C /data "$1""#;

pub use self::questions::server;

/// The backup of one server.
pub struct Backup<'a> {
    subject: Subject<'a>,
    before: BTreeMap<String, Keys>,
}

/// What `INFO keyspace` says of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// All of them.
    pub keys: u64,
    /// Those that will expire.
    pub expires: u64,
}

impl<'a> Backup<'a> {
    /// Of this one.
    pub fn new(subject: Subject<'a>) -> Self {
        Self { subject, before: BTreeMap::new() }
    }

    fn server(&self) -> Server<'a> {
        Server { client: Client { id: &self.subject.container.id, script: CLIENT } }
    }
}

impl Source for Backup<'_> {
    fn streams(&self) -> Result<Vec<Stream>> {
        let Subject { stack, service, container, .. } = self.subject;
        let server = self.server();
        let (folder, file) = (server.config("dir")?, server.config("dbfilename")?);
        let directory = service.data.as_ref().context("redis has no data directory")?;
        let ours = stack.data_path(directory);
        let mount = container.mounts.iter().find(|mount| mount.destination == folder);
        let is_ours = |source: &str| ours.ends_with(source.trim_start_matches('/'));
        if file != FILE || !mount.is_some_and(|mount| is_ours(&mount.source)) {
            return Err(Problem::failed(
                "backup.redis-file",
                format!(
                    "redis saves to {folder}/{file}, which is not {FILE} in {}",
                    ours.display()
                ),
            )
            .mend(
                Advice::from("set dir and dbfilename back with CONFIG SET").or(format!(
                    "restart it: {}",
                    Xtask::Restart(stack.on(), service.name.clone())
                )),
            )
            .into());
        }
        let helper = Helper::new(&stack.project(), &container.image).mount(&ours, "/data:ro")?;
        Ok(vec![Stream {
            content: Content::Data,
            helper,
            script: COPY,
            args: vec![FILE.to_owned()],
            input: None,
            parts: vec![Part::new("data", server.number("memory", "used_memory_dataset")?)],
        }])
    }

    fn begin(&mut self, expected: Vec<Stream>) -> Result<Vec<Stream>> {
        let server = self.server();
        self.before = server.keyspace()?;
        server.save()?;
        Ok(expected)
    }

    fn finish(&mut self, _: &[Output]) -> Result<super::Facts> {
        let server = self.server();
        let after = server.keyspace()?;
        let names = self.before.keys().chain(after.keys());
        let of =
            |all: &BTreeMap<String, Keys>, name: &String| all.get(name).map_or(0, |db| db.keys);
        let keys =
            names.map(|name| (name.clone(), (of(&self.before, name), of(&after, name)))).collect();
        let expiring = self.before.values().map(|db| db.expires).sum();
        Ok(super::Facts::Redis(Facts {
            version: server.field("server", "redis_version")?,
            keys,
            expiring,
        }))
    }
}

/// A server that answers [`CLIENT`].
pub struct Server<'a> {
    /// Its client.
    pub client: Client<'a>,
}

impl Server<'_> {
    fn config(&self, name: &str) -> Result<String> {
        let answer = self.client.ask(&["config", "get", name], "")?;
        answer
            .lines()
            .nth(1)
            .map(|line| line.trim_end().to_owned())
            .with_context(|| format!("redis did not say its {name}: {answer}"))
    }

    /// A field of `INFO section`.
    ///
    /// # Errors
    /// When the server does not answer or has no such field.
    pub fn field(&self, section: &str, name: &str) -> Result<String> {
        let info = self.client.ask(&["info", section], "")?;
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value
            .map(|value| value.trim_end().to_owned())
            .with_context(|| format!("redis did not say its {name}: {}", info.trim()))
    }

    /// As [`Server::field`].
    ///
    /// # Errors
    /// As [`Server::field`].
    pub fn number(&self, section: &str, name: &str) -> Result<u64> {
        let text = self.field(section, name)?;
        text.parse().with_context(|| format!("reading {name} `{text}`"))
    }

    /// Keys by database.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn keyspace(&self) -> Result<BTreeMap<String, Keys>> {
        Ok(parse_keyspace(&self.client.ask(&["info", "keyspace"], "")?))
    }

    /// Saves, begun after now, and waits for its end. One that runs already was begun too early.
    fn save(&self) -> Result<()> {
        loop {
            self.wait_for("rdb_bgsave_in_progress")?;
            self.wait_for("aof_rewrite_in_progress")?;
            let answer = self.client.ask(&["bgsave"], "")?;
            if answer.starts_with("Background saving started") {
                break;
            }
            if !answer.contains("in progress") {
                return Err(not_saved(&answer).into());
            }
        }
        self.wait_for("rdb_bgsave_in_progress")?;
        match self.field("persistence", "rdb_last_bgsave_status")?.as_str() {
            "ok" => Ok(()),
            status => Err(not_saved(status).into()),
        }
    }

    /// Until the field is 0.
    ///
    /// # Errors
    /// When the server does not answer, or the user interrupts.
    pub fn wait_for(&self, field: &str) -> Result<()> {
        while self.number("persistence", field)? > 0 {
            check_interrupted()?;
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

fn not_saved(said: &str) -> Problem {
    Problem::failed("backup.redis-save", format!("redis could not save its data: {}", said.trim()))
        .mend("look into its log for the reason (memory, disk); REDIS_MEM_LIMIT in .env must leave room for a copy")
}

/// `db0:keys=6,expires=1,avg_ttl=0`.
fn parse_keyspace(info: &str) -> BTreeMap<String, Keys> {
    let parse = |line: &str| {
        let (name, rest) = line.trim_end().split_once(":keys=")?;
        let mut numbers = rest.split(',').map(|part| part.rsplit('=').next()?.parse().ok());
        Some((name.to_owned(), Keys { keys: numbers.next()??, expires: numbers.next()?? }))
    };
    info.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyspace_is_read() {
        let info =
            "# Keyspace\r\ndb0:keys=6,expires=1,avg_ttl=0\r\ndb3:keys=1,expires=0,avg_ttl=0\r\n";
        let keys = parse_keyspace(info);
        assert_eq!(keys["db0"], Keys { keys: 6, expires: 1 });
        assert_eq!(keys["db3"].keys, 1);
        assert!(parse_keyspace("NOAUTH Authentication required.").is_empty());
    }
}
