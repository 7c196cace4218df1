//! What a restored Redis is asked, and how it is started alone.

use anyhow::Result;

use super::super::{Alone, Client};
use super::{CLIENT, Keyspace, Redis};
use crate::report::finding::Finding;
use crate::stack::Stack;

/// Without an append-only file: with one that is missing, Redis would start empty and leave the
/// saved data aside.
const SERVE: &str = r#"exec redis-server --dir /data --dbfilename dump.rdb --appendonly no --save '' \
    --bind 127.0.0.1 --port 6379 --maxmemory-policy noeviction"#;

const CHECK_FILE: &str = "exec redis-check-rdb /data/dump.rdb";

/// The server for restored data.
pub(super) fn alone() -> Alone {
    Alone::new(SERVE, "16m", CLIENT)
}

/// What `redis-check-rdb` counts in the file.
#[derive(Debug, PartialEq, Eq)]
struct File {
    keys: u64,
    expires: u64,
}

impl Keyspace {
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
        Ok(self.differences(&file, loaded))
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
        let keyspace = Keyspace { keys, expiring: 3 };
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
    fn what_redis_check_rdb_counts_is_read() {
        let said = "[offset 0] Checking RDB file dump.rdb\n[offset 122] \\o/ RDB looks OK! \\o/\n[info] 60 keys read\n[info] 7 expires\n[info] 0 already expired\n";
        assert_eq!(counted(said), Some(File { keys: 60, expires: 7 }));
        assert_eq!(counted("--- RDB ERROR DETECTED ---"), None);
    }
}
