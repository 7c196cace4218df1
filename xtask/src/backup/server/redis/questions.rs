//! What a restored Redis is asked, and how it is started alone.

use anyhow::Result;

use super::super::{Alone, Client};
use super::{CLIENT, Keyspace, Memory, Redis};
use crate::report::finding::{Finding, Problem};
use crate::report::units::Bytes;
use crate::stack::Stack;

/// Without an append-only file: with one that is missing, Redis would start empty and leave the
/// saved data aside.
///
/// It has the memory that the stack's own has, but removes no key to stay below it.
const SERVE: &str = r#"exec redis-server --dir /data --dbfilename dump.rdb --appendonly no --save '' \
    --bind 127.0.0.1 --port 6379 --maxmemory "$1" --maxmemory-policy noeviction"#;

/// Above which Redis removes keys.
const VARIABLE: &str = "REDIS_MAX_MEMORY";

/// A cache that is full holds a little more than it may, and so may a restored one.
const FULL: f64 = 1.05;

const CHECK_FILE: &str = "exec redis-check-rdb /data/dump.rdb";

/// The server for restored data.
pub(super) fn alone(stack: &Stack) -> Alone {
    let mut alone = Alone::new(SERVE, "16m", CLIENT);
    alone.args.push(stack.env.get(VARIABLE).unwrap_or_else(|| "0".to_owned()));
    alone
}

impl Memory {
    /// Whether a server that may use `most` bytes, 0 for any number, would remove keys.
    fn exceeds(self, most: u64) -> bool {
        most > 0 && self.used as f64 > most as f64 * FULL
    }
}

/// What `redis-check-rdb` counts in the file.
#[derive(Debug, PartialEq, Eq)]
struct File {
    keys: u64,
    expires: u64,
}

impl Keyspace {
    /// Today's `.env` must leave as much memory as the keys took, or the server would remove some.
    pub(super) fn refuse_less_memory(&self, stack: &Stack) -> Result<()> {
        let Some(memory) = self.memory else { return Ok(()) };
        let today = stack.env.get(VARIABLE).unwrap_or_default();
        let Ok(Bytes(most)) = today.parse() else { return Ok(()) };
        // What was full then may be full again.
        if !memory.exceeds(most) || (memory.most > 0 && most >= memory.most) {
            return Ok(());
        }
        let (used, file) = (Bytes(memory.used), stack.env.path().display());
        let then =
            if memory.most > 0 { Bytes(memory.most).to_string() } else { "no limit".to_owned() };
        let found = format!(
            "redis used {used} when the set was made, under {then}; {VARIABLE} is {today} in {file}, so it would remove keys"
        );
        let needed = memory.most.max((memory.used as f64 * FULL) as u64).div_ceil(1 << 20);
        Err(Problem::failed("restore.too-small", found)
            .mend(format!("put {VARIABLE}={needed}mb into it, and REDIS_MEM_LIMIT above that"))
            .into())
    }

    /// The stack's own server, which removes keys where it has too little memory, and whose users
    /// are at work again.
    pub(super) fn prove_live(&self, redis: &Redis<'_>) -> Result<Vec<Finding>> {
        let evicted = redis.number("stats", "evicted_keys")?;
        let keys = redis.keyspace()?.values().map(|db| db.keys).sum();
        Ok(vec![self.live(keys, evicted)])
    }

    fn live(&self, keys: u64, evicted: u64) -> Finding {
        let (before, after) = self.totals();
        let least = before.min(after).saturating_sub(self.expiring);
        let id = "restore.keys";
        // A full cache goes on removing some.
        if evicted as f64 > (FULL - 1.0) * least as f64 && keys < least {
            let found = format!(
                "it holds {keys} keys, where the set has {least} or more: it has removed {evicted} since its start, as {VARIABLE} has it"
            );
            return Finding::refuted(id, found);
        }
        if keys.saturating_add(evicted) < least {
            let found = format!(
                "it holds {keys} keys, where the set has {least} or more; it has removed {evicted} itself, so perhaps its users did the rest"
            );
            return Finding::refuted(id, found);
        }
        Finding::proven(id, format!("{keys} keys in use, {evicted} removed for want of memory"))
    }

    pub(super) fn compare_with(&self, redis: &Redis<'_>) -> Result<Vec<Finding>> {
        let check = Client { id: redis.0.id, script: CHECK_FILE };
        let said = check.cmd(&[], "").output()?;
        let words = [&*said.stdout, &*said.stderr].concat();
        let words = words.trim();
        let file = match (said.status, counted(&said.stdout)) {
            (Some(0), Some(file)) => file,
            (Some(1), _) => {
                let found = format!("its file is damaged: {words}");
                return Ok(vec![Finding::refuted("drill.file", found)]);
            }
            _ => {
                let found = format!("redis-check-rdb did not count its keys: {words}");
                return Ok(vec![Finding::no_answer("drill.file", found)]);
            }
        };
        let loaded = redis.keyspace()?.values().map(|db| db.keys).sum();
        let mut findings = self.differences(&file, loaded);
        let memory = redis.memory()?;
        let was_full = self.memory.is_some_and(|then| then.most > 0 && memory.most >= then.most);
        findings.push(if memory.exceeds(memory.most) && !was_full {
            let (used, most) = (Bytes(memory.used), Bytes(memory.most));
            let found =
                format!("the keys take {used}, but {VARIABLE} is {most}: it would remove some");
            Finding::refuted("drill.memory", found)
                .mend(format!("raise {VARIABLE} in .env, and REDIS_MEM_LIMIT above it"))
        } else {
            let found = format!(
                "the server takes {} of memory with them, within {VARIABLE}",
                Bytes(memory.used)
            );
            Finding::proven("drill.memory", found)
        });
        Ok(findings)
    }

    /// What is wrong where the `file` was restored and so many keys were `loaded` from it.
    fn differences(&self, file: &File, loaded: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        if loaded > file.keys || loaded < file.keys.saturating_sub(file.expires) {
            let found = format!(
                "{loaded} keys were loaded, but the file holds {} of which {} may expire",
                file.keys, file.expires
            );
            findings.push(Finding::refuted("drill.keys", found));
        }
        // Keys come and go while a backup is made, but not all of those that never expire.
        let (before, after) = self.totals();
        if file.keys == 0 && before > self.expiring && after > 0 {
            let found = format!("it is empty, where the original held {before} keys");
            findings.push(Finding::refuted("drill.keys", found));
        }
        if findings.is_empty() {
            let found = format!(
                "{loaded} keys, as the file holds ({before} before, {after} after the backup)"
            );
            findings.push(Finding::proven("drill.keys", found));
        }
        findings
    }

    fn totals(&self) -> (u64, u64) {
        let before = self.keys.values().map(|(before, _)| before).sum();
        (before, self.keys.values().map(|(_, after)| after).sum())
    }
}

impl Redis<'_> {
    pub(super) fn is_ready(&self) -> bool {
        self.0.ask(&["ping"], "").is_ok_and(|answer| answer.trim() == "PONG")
            && self.number("persistence", "loading").is_ok_and(|loading| loading == 0)
    }

    /// With an append-only file wanted, one is made of what was loaded, and whole before the end.
    pub(super) fn adapt(&self, stack: &Stack) -> Result<()> {
        if stack.env.get("REDIS_APPENDONLY").as_deref() != Some("yes") {
            return Ok(());
        }
        let answer = self.0.ask(&["config", "set", "appendonly", "yes"], "")?;
        anyhow::ensure!(answer.trim() == "OK", "redis makes no append-only file: {answer}");
        self.wait_for("aof_rewrite_scheduled")?;
        self.wait_for("aof_rewrite_in_progress")?;
        let status = self.field("persistence", "aof_last_bgrewrite_status")?;
        anyhow::ensure!(status == "ok", "redis could not write its append-only file: {status}");
        Ok(())
    }
}

/// `[info] 6 keys read`, `[info] 1 expires`.
fn counted(said: &str) -> Option<File> {
    let number = |words: &str| {
        let line = said.lines().find(|line| line.ends_with(words))?;
        line.trim_end_matches(words).rsplit(' ').find(|part| !part.is_empty())?.parse().ok()
    };
    Some(File { keys: number("keys read")?, expires: number(" expires")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Severity;

    #[test]
    fn keys_may_expire_but_not_be_lost() {
        let keys = [("db0".to_owned(), (10, 12))].into();
        let keyspace = Keyspace { keys, expiring: 3, memory: None };
        let is_right = |keys, expires, loaded| {
            let findings = keyspace.differences(&File { keys, expires }, loaded);
            findings.iter().all(|finding| finding.severity == Severity::Ok)
        };
        assert!(is_right(11, 3, 11));
        assert!(is_right(11, 3, 8), "three have expired");
        assert!(!is_right(11, 3, 7));
        assert!(!is_right(11, 3, 12), "more than the file holds");
        assert!(!is_right(0, 0, 0), "the original was not empty");
    }

    #[test]
    fn a_server_in_use_that_has_removed_keys_does_not_hold_the_set() {
        let keys = [("db0".to_owned(), (1000, 1010))].into();
        let keyspace = Keyspace { keys, expiring: 10, memory: None };
        let is_proven = |keys, evicted| keyspace.live(keys, evicted).severity == Severity::Ok;
        assert!(is_proven(990, 0) && is_proven(1005, 0));
        assert!(!is_proven(400, 600) && !is_proven(400, 0) && !is_proven(0, 1));
        assert!(is_proven(980, 10), "a full cache");
        let found = keyspace.live(400, 600).found;
        assert!(found.contains("it has removed 600") && found.contains("REDIS_MAX_MEMORY"));
    }

    #[test]
    fn keys_need_the_memory_that_they_took() {
        let memory = Memory { used: 100 << 20, most: 0 };
        assert!(!memory.exceeds(0) && !memory.exceeds(100 << 20) && memory.exceeds(64 << 20));
    }

    #[test]
    fn what_redis_check_rdb_counts_is_read() {
        let said = "[offset 0] Checking RDB file dump.rdb\n[offset 122] \\o/ RDB looks OK! \\o/\n[info] 60 keys read\n[info] 7 expires\n[info] 0 already expired\n";
        assert_eq!(counted(said), Some(File { keys: 60, expires: 7 }));
        assert_eq!(counted("--- RDB ERROR DETECTED ---"), None);
    }
}
