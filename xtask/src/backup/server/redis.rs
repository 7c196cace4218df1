//! Redis: a background save that is waited for and checked, then its file.

mod questions;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Alone, Begun, Client, Part, Server, Stream, Subject};
use crate::process::check_interrupted;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Problem};
use crate::report::units::count;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Without a password in a drill.
const CLIENT: &str = r#"if [ -n "${REDIS_PASSWORD-}" ]; then export REDISCLI_AUTH="$REDIS_PASSWORD"; fi; exec redis-cli --no-auth-warning "$@""#;

/// The file in the data directory and in the archive.
const FILE: &str = "dump.rdb";

/// Users that its configuration makes at each start.
const CONFIGURED: [&str; 2] = ["default", "exporter"];

/// Between two questions how far a save is.
const POLL: Duration = Duration::from_millis(50);

/// Redis writes beside and renames, so the file is whole at every moment.
const COPY: &str = "exec tar -c -f - -C /data dump.rdb";

/// What was in its databases.
#[derive(Debug, Serialize, Deserialize)]
pub struct Keyspace {
    /// Keys in each database, just before and just after; expired ones may be among them.
    keys: BTreeMap<String, (u64, u64)>,
    /// Of those, keys that will expire.
    expiring: u64,
    /// The memory that they took; earlier versions did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
}

/// What a server used, and might.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// In bytes.
    used: u64,
    /// `maxmemory`, above which it removes keys; 0 for never.
    most: u64,
}

/// What `INFO keyspace` says of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Keys {
    keys: u64,
    expires: u64,
}

impl Server for Keyspace {
    fn streams(subject: &Subject<'_>) -> Result<Vec<Stream>> {
        let redis = Redis(subject.client(CLIENT));
        let (folder, file) = (redis.config("dir")?, redis.config("dbfilename")?);
        let reader = (file == FILE).then(|| subject.reader(&folder).ok()).flatten();
        let reader = reader.ok_or_else(|| saves_elsewhere(subject, &folder, &file))?;
        let size = redis.number("memory", "used_memory_dataset")?;
        let after = "after a background save (BGSAVE)";
        Ok(vec![Stream::data(reader, COPY, after, vec![Part::new("data", size)])])
    }

    fn begin(subject: Subject<'_>, expected: Vec<Stream>) -> Result<Begun<'_>> {
        let redis = Redis(subject.client(CLIENT));
        let before = redis.keyspace()?;
        redis.save(&subject)?;
        let finish = move |_: &[_]| {
            let memory = Some(redis.memory()?);
            let keyspace = Self { memory, ..Self::between(&before, &redis.keyspace()?) };
            let record = subject.record(redis.field("server", "redis_version")?, &keyspace)?;
            Ok(record.lacking(redis.lacks()?))
        };
        Ok((expected, Box::new(finish)))
    }

    fn refuse(&self, stack: &Stack, _: &str) -> Result<()> {
        self.refuse_less_memory(stack)
    }

    fn alone(&self, stack: &Stack, _: &Service) -> Result<Alone> {
        Ok(questions::alone(stack))
    }

    fn is_ready(&self, client: Client<'_>) -> bool {
        Redis(client).is_ready()
    }

    fn adapt(&self, stack: &Stack, _: &Service, client: Client<'_>) -> Result<()> {
        Redis(client).adapt(stack)
    }

    fn compare(&self, client: Client<'_>) -> Result<Vec<Finding>> {
        self.compare_with(&Redis(client))
    }

    fn prove(&self, _: &Stack, _: &Service, id: &str) -> Result<Vec<Finding>> {
        self.prove_live(&Redis(Client { id, script: CLIENT }))
    }
}

impl Keyspace {
    /// What there was `before` the save and `after` it.
    fn between(before: &BTreeMap<String, Keys>, after: &BTreeMap<String, Keys>) -> Self {
        let of = |all: &BTreeMap<_, Keys>, name| all.get(name).map_or(0, |db| db.keys);
        let names = before.keys().chain(after.keys());
        let keys = names.map(|name| (name.clone(), (of(before, name), of(after, name)))).collect();
        Self { keys, expiring: before.values().map(|db| db.expires).sum(), memory: None }
    }
}

fn saves_elsewhere(subject: &Subject<'_>, folder: &str, file: &str) -> Problem {
    let Subject { stack, service, .. } = subject;
    let ours = service.data.as_ref().map(|data| stack.data_path(data)).unwrap_or_default();
    let found =
        format!("redis saves to {folder}/{file}, which is not {FILE} in {}", ours.display());
    let restart = Xtask::Restart(stack.on(), service.name.clone());
    Problem::failed("backup.redis-file", found).mend(
        Advice::from("set dir and dbfilename back with CONFIG SET")
            .or(format!("restart it: {restart}")),
    )
}

/// A server that answers [`CLIENT`].
struct Redis<'a>(Client<'a>);

impl Redis<'_> {
    fn config(&self, name: &str) -> Result<String> {
        let answer = self.0.ask(&["config", "get", name], "")?;
        answer
            .lines()
            .nth(1)
            .map(|line| line.trim_end().to_owned())
            .with_context(|| format!("redis did not say its {name}: {answer}"))
    }

    /// A field of `INFO section`.
    fn field(&self, section: &str, name: &str) -> Result<String> {
        let info = self.0.ask(&["info", section], "")?;
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value
            .map(|value| value.trim_end().to_owned())
            .with_context(|| format!("redis did not say its {name}: {}", info.trim()))
    }

    fn number(&self, section: &str, name: &str) -> Result<u64> {
        let text = self.field(section, name)?;
        text.parse().with_context(|| format!("reading {name} `{text}`"))
    }

    fn memory(&self) -> Result<Memory> {
        let most = self.number("memory", "maxmemory")?;
        Ok(Memory { used: self.number("memory", "used_memory")?, most })
    }

    /// What lives in the server's memory alone: a restart ends it too.
    fn lacks(&self) -> Result<Vec<String>> {
        let mut lacks = Vec::new();
        let users = self.0.ask(&["acl", "users"], "")?;
        let users: Vec<_> = users.lines().map(str::trim_end).collect();
        let made: Vec<_> = users.into_iter().filter(|name| !CONFIGURED.contains(name)).collect();
        if !made.is_empty() {
            let users = made.join(", ").escape_debug().to_string();
            lacks
                .push(format!("users made with ACL SETUSER ({users}): a restart removes them too"));
        }
        let scripts = self.number("memory", "number_of_cached_scripts")?;
        if scripts > 0 {
            let scripts = count(usize::try_from(scripts).unwrap_or(usize::MAX), "script");
            lacks.push(format!("{scripts} that SCRIPT LOAD or EVAL has cached"));
        }
        Ok(lacks)
    }

    fn keyspace(&self) -> Result<BTreeMap<String, Keys>> {
        Ok(parse_keyspace(&self.0.ask(&["info", "keyspace"], "")?))
    }

    /// Saves, begun after now, and waits for its end. One that runs already was begun too early.
    fn save(&self, subject: &Subject<'_>) -> Result<()> {
        loop {
            self.wait_for("rdb_bgsave_in_progress")?;
            self.wait_for("aof_rewrite_in_progress")?;
            let answer = self.0.ask(&["bgsave"], "")?;
            if answer.starts_with("Background saving started") {
                break;
            }
            if !answer.contains("in progress") {
                return Err(not_saved(subject, &answer).into());
            }
        }
        self.wait_for("rdb_bgsave_in_progress")?;
        match self.field("persistence", "rdb_last_bgsave_status")?.as_str() {
            "ok" => Ok(()),
            status => Err(not_saved(subject, status).into()),
        }
    }

    /// Until the field is 0.
    fn wait_for(&self, field: &str) -> Result<()> {
        while self.number("persistence", field)? > 0 {
            check_interrupted()?;
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

fn not_saved(subject: &Subject<'_>, said: &str) -> Problem {
    let logs = Xtask::Logs(subject.stack.on(), subject.service.name.clone());
    Problem::failed("backup.redis-save", format!("redis could not save its data: {}", said.trim()))
        .mend(format!("look into its log for the reason (memory, of which REDIS_MEM_LIMIT in .env must leave room for a copy; disk): {logs}"))
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
