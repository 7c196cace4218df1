//! Logs that nothing bounds: as the engine keeps them, and in files inside containers.

use std::thread;

use anyhow::Result;

use super::facts::Facts;
use crate::docker::container::{Container, LogConfig};
use crate::docker::exec;
use crate::report::advice::Xtask;
use crate::report::finding::Finding;
use crate::report::units::Bytes;
use crate::stack::Stack;

/// Containers keep the logging settings that they were made with.
pub(super) fn bounded(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let containers = facts.containers_of(stack)?;
    for container in &containers {
        let (name, config) = (container.name(), &container.host_config.log_config);
        let again =
            format!("{}, then {} (the data stays)", Xtask::Down(stack.on()), Xtask::Up(stack.on()));
        if config.driver == "none" {
            let found = format!("nothing keeps what {name} logs: its logging driver is `none`");
            findings.push(Finding::warning("logs.unreadable", found).mend(again));
            continue;
        }
        let kept = match bound(config) {
            Some(bound) if bound <= MOST => continue,
            Some(bound) => format!("up to {bound}"),
            None => "without a bound".to_owned(),
        };
        let found = format!(
            "the engine keeps the log of {name} {kept}: the container was made before the setting, or without it"
        );
        findings.push(Finding::warning("logs.unbounded", found).mend(again));
    }
    if findings.is_empty() && !containers.is_empty() {
        findings
            .push(Finding::ok("logs.unbounded", "the engine bounds the log of every container"));
    }
    Ok(findings.into_iter().map(|finding| finding.about(stack.name())).collect())
}

/// A bound that is larger is none.
const MOST: Bytes = Bytes(1 << 30);

/// How much the engine keeps. `json-file` has no bound of its own; `local` has, and the others
/// keep logs elsewhere (docs.docker.com, "Configure logging drivers").
fn bound(config: &LogConfig) -> Option<Bytes> {
    let number = |name: &str| config.options.get(name)?.parse::<u64>().ok();
    let size = config.options.get("max-size").and_then(|size| size.parse::<Bytes>().ok());
    match size.filter(|size| size.0 > 0) {
        Some(size) => Some(Bytes(size.0.saturating_mul(number("max-file").unwrap_or(1)))),
        None => (config.driver != "json-file").then_some(Bytes(0)),
    }
}

/// A file that is smaller is not worth a word.
const LARGE: Bytes = Bytes(10 << 20);

/// Prints size in kilobytes and path of each large log file. File systems in memory are bounded
/// and left out; so is what an ordinary user of the container may not read.
const SCRIPT: &str = r#"for below; do
    find "$below" -xdev -type f -size +10240k \( -name '*.log' -o -name '*.log.*' -o -path '*/log/*' -o -path '*/logs/*' \) -exec du -k {} \; 2>/dev/null
done; true"#;

pub(super) fn inside(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let containers = facts.containers_of(stack)?;
    let running: Vec<_> = containers.iter().filter(|container| container.is_running()).collect();
    let files = thread::scope(|scope| {
        let look = |container: &&Container| {
            let container = (*container).clone();
            scope.spawn(move || large_files(&container))
        };
        let looks: Vec<_> = running.iter().map(look).collect();
        looks.into_iter().flat_map(|look| look.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    let mut findings: Vec<_> = files
        .into_iter()
        .map(|(container, path, size)| {
            let found = format!("{container} writes the log file {path} inside ({size}), which nothing bounds");
            Finding::warning("logs.inside", found)
                .mend("have the service log to its standard output, which the engine bounds, then remove the file")
        })
        .collect();
    if findings.is_empty() && !running.is_empty() {
        findings.push(Finding::ok("logs.inside", "no large log files inside containers"));
    }
    Ok(findings.into_iter().map(|finding| finding.about(stack.name())).collect())
}

/// None where the container has no shell to ask, or nothing that could be written to.
fn large_files(container: &Container) -> Vec<(String, String, Bytes)> {
    let root = (!container.host_config.readonly_rootfs).then_some("/");
    let mounts = container.mounts.iter().filter(|mount| mount.writable);
    let places = root.into_iter().chain(mounts.map(|mount| mount.destination.as_str()));
    let words: Vec<_> = ["sh", "-c", SCRIPT, "sh"].into_iter().chain(places).collect();
    if words.len() == 4 {
        return Vec::new();
    }
    let text = exec::read(&container.id, &words).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (size, path) = line.split_once('\t')?;
            let size = Bytes(size.parse::<u64>().ok()? * 1024);
            (size >= LARGE).then(|| (container.name().to_owned(), path.to_owned(), size))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_file_without_a_size_has_no_bound() {
        let config = |driver: &str, options: &[(&str, &str)]| {
            let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            LogConfig { driver: driver.to_owned(), options: options.collect() }
        };
        let size = |size| ("max-size", size);
        assert_eq!(bound(&config("json-file", &[])), None);
        assert_eq!(bound(&config("json-file", &[size("-1")])), None);
        assert_eq!(
            bound(&config("json-file", &[size("10m"), ("max-file", "3")])),
            Some(Bytes(30 << 20))
        );
        assert_eq!(bound(&config("local", &[])), Some(Bytes(0)));
        assert_eq!(bound(&config("journald", &[])), Some(Bytes(0)));
    }
}
