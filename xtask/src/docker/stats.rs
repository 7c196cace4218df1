//! What running containers use now (docs.docker.com/reference/api/engine, "ContainerStats").

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use serde::Deserialize;

use super::api::Answers;

/// Over which the CPU's share is measured.
const WINDOW: Duration = Duration::from_millis(150);

/// What a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Use {
    /// Bytes, without the page cache that the kernel can take back.
    pub memory: Option<u64>,
    /// Percent of one CPU.
    pub cpu: Option<f64>,
}

/// By container id. What cannot be measured is left out.
pub fn measure(ids: &[&str]) -> BTreeMap<String, Use> {
    std::thread::scope(|scope| {
        let measuring: Vec<_> = ids.iter().map(|id| (id, scope.spawn(|| of(id)))).collect();
        let measured = measuring.into_iter().map(|(id, one)| (id, one.join()));
        measured.filter_map(|(id, one)| Some(((*id).to_owned(), one.ok()?.ok()??))).collect()
    })
}

fn of(id: &str) -> Result<Option<Use>> {
    let mut engine = Answers::brief()?;
    let path = format!("/containers/{id}/stats?stream=false&one-shot=true");
    let Some(first) = engine.get::<Reading>(&path)? else { return Ok(None) };
    std::thread::sleep(WINDOW);
    Ok(engine.get::<Reading>(&path)?.map(|second| second.since(&first)))
}

#[derive(Debug, Deserialize)]
struct Reading {
    read: Timestamp,
    cpu_stats: CpuStats,
    memory_stats: MemoryStats,
}

#[derive(Debug, Deserialize)]
struct CpuStats {
    cpu_usage: CpuUsage,
}

#[derive(Debug, Deserialize)]
struct CpuUsage {
    /// Nanoseconds of CPU time since the container started.
    total_usage: u64,
}

#[derive(Debug, Deserialize)]
struct MemoryStats {
    usage: Option<u64>,
    #[serde(default)]
    stats: PageCache,
}

/// The name depends on the version of control groups; a version 1 has both names, of which the
/// total counts.
#[derive(Debug, Default, Deserialize)]
struct PageCache {
    total_inactive_file: Option<u64>,
    inactive_file: Option<u64>,
}

impl Reading {
    /// The share since `before`: of the time that the engine gives for each reading, since it
    /// tells no earlier use in a single reading.
    fn since(&self, before: &Self) -> Use {
        let elapsed = self.read.duration_since(before.read).as_nanos() as f64;
        let spent = |reading: &Self| reading.cpu_stats.cpu_usage.total_usage;
        let cpu = spent(self).checked_sub(spent(before)).filter(|_| elapsed > 0.0);
        let PageCache { total_inactive_file, inactive_file } = self.memory_stats.stats;
        let cache = total_inactive_file.or(inactive_file).unwrap_or(0);
        Use {
            memory: self.memory_stats.usage.map(|usage| usage.saturating_sub(cache)),
            cpu: cpu.map(|spent| spent as f64 / elapsed * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(read: &str, spent: u64, memory: &str) -> Reading {
        serde_json::from_str(&format!(
            r#"{{"read":"{read}","cpu_stats":{{"cpu_usage":{{"total_usage":{spent}}}}},
                "memory_stats":{memory}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn the_share_is_of_the_time_between_the_readings() {
        let first = reading("2026-11-28T12:00:00.000000000Z", 1_000, "{}");
        let memory = r#"{"usage":5000,"stats":{"inactive_file":1000}}"#;
        let second = reading("2026-11-28T12:00:00.200000000Z", 50_001_000, memory);
        assert_eq!(second.since(&first), Use { memory: Some(4000), cpu: Some(25.0) });
    }

    #[test]
    fn a_container_that_was_restarted_or_read_twice_at_once_has_no_share() {
        let first = reading("2026-11-28T12:00:00Z", 1_000, "{}");
        let restarted = reading("2026-11-28T12:00:01Z", 500, "{}");
        assert_eq!(restarted.since(&first).cpu, None);
        assert_eq!(first.since(&first).cpu, None);
    }

    #[test]
    fn the_page_cache_of_control_groups_1_counts_the_children_too() {
        let memory = r#"{"usage":5000,"stats":{"inactive_file":1,"total_inactive_file":2000}}"#;
        let one = reading("2026-11-28T12:00:00Z", 0, memory);
        assert_eq!(one.since(&one).memory, Some(3000));
    }
}
