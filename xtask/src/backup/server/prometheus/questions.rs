//! What a restored Prometheus is asked, and how it is started alone.

use anyhow::Result;
use jiff::Timestamp;

use super::super::Alone;
use super::super::api::Api;
use super::Blocks;
use crate::process::check_interrupted;
use crate::report::finding::Finding;
use crate::report::units::count;

/// Scrapes nothing, drops nothing for its age, joins no blocks.
const SERVE: &str = r#"
echo 'scrape_configs: []' >/tmp/prometheus.yml
exec prometheus --config.file=/tmp/prometheus.yml --web.listen-address=127.0.0.1:9090 \
    --storage.tsdb.path=/data --storage.tsdb.retention.time=100y \
    --storage.tsdb.min-block-duration=2h --storage.tsdb.max-block-duration=2h --query.timeout=1h"#;

const CLIENT: &str = r#"exec wget -q -O - "http://127.0.0.1:9090$1""#;

/// In milliseconds: what is so young is dropped by no retention.
const DAY: i64 = 24 * 3600 * 1000;

/// The server for restored data.
pub(super) fn alone() -> Alone {
    Alone::new(SERVE, "16m", CLIENT)
}

impl Blocks {
    /// Every block is loaded, and the oldest, the last finished and the newest answer.
    pub(super) fn compare_with(&self, api: &Api) -> Result<Vec<Finding>> {
        let loaded = api.metric("prometheus_tsdb_blocks_loaded")?;
        let mut findings = Vec::new();
        if loaded != self.blocks.len() as f64 {
            let found = format!("{loaded} of {} were loaded", count(self.blocks.len(), "block"));
            findings.push(Finding::refuted("drill.blocks", found));
        }
        for block in &self.blocks {
            let is_newest = self.blocks.last() == Some(block);
            let (least, now) = match self.answers.get(&block.ulid) {
                Some(then) => (*then, block.series_at_end(api)?),
                None if is_newest => (block.series_stored.min(1), block.series(api)?),
                None => continue,
            };
            if now < least {
                let found = format!(
                    "{now} series answer in the time of block {}, where it was {least}",
                    block.ulid
                );
                findings.push(Finding::refuted("drill.query", found));
            }
        }
        if findings.is_empty() {
            let range = self.blocks.first().zip(self.blocks.last());
            let time = |at| Timestamp::from_millisecond(at).unwrap_or_default();
            let (from, to) = range.map_or((0, 0), |(first, last)| (first.min_time, last.max_time));
            let found = format!(
                "{}, which answer queries from {:.0} to {:.0}",
                count(self.blocks.len(), "block"),
                time(from),
                time(to)
            );
            findings.push(Finding::proven("drill.blocks", found));
        }
        Ok(findings)
    }

    /// Every series of every block is read.
    pub(super) fn read_all(&self, api: &Api) -> Result<Finding> {
        let mut silent = Vec::new();
        for block in self.blocks.iter().filter(|block| block.samples > 0) {
            check_interrupted()?;
            match block.series(api) {
                Ok(0) => silent.push(block.ulid.to_string()),
                Ok(_) => {}
                // One block that cannot be read takes no other's answer.
                Err(error) if api.get("/-/ready").is_ok() => {
                    silent.push(format!("{} ({error:#})", block.ulid));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if silent.is_empty() {
            Finding::proven("drill.blocks-whole", "every series of every block can be read")
        } else {
            let found = format!("nothing can be read of: {}", silent.join(", "));
            Finding::refuted("drill.blocks-whole", found)
        })
    }

    /// The stack's own server answers about the newest time of the set; what is older it may
    /// drop, as `PROMETHEUS_RETENTION_TIME` says.
    pub(super) fn ask_newest(&self, api: &Api) -> Result<Vec<Finding>> {
        let Some(newest) = self.blocks.last().filter(|block| block.samples > 0) else {
            return Ok(Vec::new());
        };
        let series = newest.series(api)?;
        if series > 0 {
            let found = format!("{series} series answer in the newest time of the set");
            return Ok(vec![Finding::proven("restore.query", found)]);
        }
        let found = "it answers nothing in the time that the set is about";
        let age = Timestamp::now().as_millisecond() - newest.max_time;
        Ok(vec![if age < DAY {
            Finding::refuted("restore.query", found)
        } else {
            let why = format!("{found}: is it older than it may keep?");
            Finding::not_looked_at("restore.query", why)
        }])
    }
}
