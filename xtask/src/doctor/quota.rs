//! Data directories against their quotas, and what keeps them below.

use anyhow::Result;

use super::facts::Facts;
use crate::quota::{self, NEAR, Use};
use crate::report::finding::Finding;
use crate::report::units::Bytes;
use crate::stack::Stack;

pub(super) fn quotas(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    if stack.env.text().is_none() || !facts.engine_place().shares_machine() {
        return Ok(Vec::new());
    }
    let uses = quota::measure(stack)?;
    let mut findings: Vec<_> = uses.iter().filter_map(near).collect();
    if findings.is_empty() {
        let enforced: Vec<_> = uses.iter().filter_map(describe).collect();
        findings.push(Finding::ok(
            "data.quota",
            format!("within their quotas: {}", enforced.join(", ")),
        ));
    }
    Ok(findings.into_iter().map(|finding| finding.about(stack.name())).collect())
}

fn near(of: &Use) -> Option<Finding> {
    let ratio = of.ratio().filter(|ratio| *ratio >= NEAR)?;
    let (used, quota) = (Bytes(of.bytes?), Bytes(of.quota_bytes?));
    let found =
        format!("{} has {used}, {:.0} % of its quota of {quota}", of.directory, ratio * 100.0);
    let mend = match &of.enforced_by {
        Some(means) => format!("look at {means}, or raise the quota in infrastructure/stacks.toml"),
        None => "make room, or raise the quota in infrastructure/stacks.toml; nothing else keeps it below".to_owned(),
    };
    Some(Finding::warning("data.quota", found).mend(mend))
}

/// `redis 1 MB of 8 GB (REDIS_MAX_MEMORY)`.
fn describe(of: &Use) -> Option<String> {
    let quota = Bytes(of.quota_bytes?);
    let used = of.bytes.map_or_else(|| "not there".to_owned(), |bytes| Bytes(bytes).to_string());
    let means = of.enforced_by.as_deref().unwrap_or("only watched");
    Some(format!("{} {used} of {quota} ({means})", of.directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_its_quota_is_from_85_percent_on() {
        let of = |bytes: u64, quota: Option<u64>| Use {
            directory: "x".to_owned(),
            bytes: Some(bytes),
            quota_bytes: quota,
            enforced_by: None,
        };
        assert!(near(&of(84, Some(100))).is_none());
        assert!(near(&of(85, Some(100))).unwrap().found.contains("85 % of its quota"));
        assert!(near(&of(85, None)).is_none());
    }
}
