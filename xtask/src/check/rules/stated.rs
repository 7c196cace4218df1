//! The thresholds that were promised, in one place: rules and runbooks have to agree with it.

use anyhow::{Context as _, Result};

use super::files::{Rule, rules};
use crate::check::relative;
use crate::context::Context;
use crate::host::followed;
use crate::report::finding::Finding;

/// A promised threshold.
#[derive(Debug, Clone, Copy)]
pub struct Stated {
    /// The alert that keeps the promise.
    pub alert: &'static str,
    /// What its expression has to contain.
    pub condition: &'static str,
    /// How its runbook says it.
    pub said: &'static str,
}

const fn stated(alert: &'static str, condition: &'static str, said: &'static str) -> Stated {
    Stated { alert, condition, said }
}

/// Everything promised.
pub const STATED: [Stated; 14] = [
    stated("ApiLatencyHigh", "job:http_request_duration_seconds:p95_rate5m > 0.2", "200 ms"),
    stated("ApiErrorRateHigh", "job:http_errors:ratio_rate5m > 0.05", "5 %"),
    stated("PlatformUptimeLow", "platform:availability:ratio_avg15d < 0.999", "99.9 %"),
    stated(
        "PlatformErrorBudgetBurnFast",
        "1 - platform:availability:ratio_avg1h > 14.4 * (1 - 0.999)",
        "99.9 %",
    ),
    stated(
        "PlatformErrorBudgetBurnSlow",
        "1 - platform:availability:ratio_avg1d > 3 * (1 - 0.999)",
        "99.9 %",
    ),
    stated("CpuUtilisationHigh", "instance:node_cpu_utilisation:ratio_rate5m > 0.85", "85 %"),
    stated("MemoryUtilisationHigh", "instance:node_memory_utilisation:ratio > 0.85", "85 %"),
    stated(
        "DiskUtilisationHigh",
        "instance_mountpoint:node_filesystem_utilisation:ratio > 0.85",
        "85 %",
    ),
    stated(
        "InodeUtilisationHigh",
        "instance_mountpoint:node_inodes_utilisation:ratio > 0.85",
        "85 %",
    ),
    stated("ContainerMemoryHigh", "name:container_memory_utilisation:ratio > 0.85", "85 %"),
    stated("DataDirectoryNearQuota", "directory:data_directory_utilisation:ratio > 0.85", "85 %"),
    stated("RedisMemoryHigh", "instance:redis_memory_utilisation:ratio > 0.85", "85 %"),
    stated("RedisHitRateLow", "instance:redis_hits:ratio_rate5m < 0.7", "70 %"),
    stated("PostgresBufferHitRateLow", "instance:postgres_buffer_hits:ratio_rate5m < 0.7", "70 %"),
];

pub(in crate::check) fn thresholds_are_as_stated(cx: &Context) -> Result<Vec<Finding>> {
    let rules = rules(&cx.root)?;
    let mut findings = Vec::new();
    for stated in STATED {
        let found = rules.iter().find(|rule| rule.alert.as_deref() == Some(stated.alert));
        let Some(rule) = found else {
            findings.push(
                Finding::error("rules.stated", "no rule keeps this promise")
                    .about(stated.alert)
                    .needs(stated.condition),
            );
            continue;
        };
        if !holds(rule, stated.condition) {
            findings.push(
                Finding::error("rules.stated", "its threshold is not the promised one")
                    .about(stated.alert)
                    .needs(stated.condition)
                    .at(relative(cx, &rule.path), rule.line),
            );
        }
        let page = format!("docs/runbooks/{}.md", stated.alert);
        let text =
            followed::text(cx.root.join(&page)).with_context(|| format!("reading {page}"))?;
        if !text.contains(stated.said) {
            findings.push(
                Finding::error("rules.stated", "does not name the promised threshold")
                    .needs(stated.said)
                    .at(page, None),
            );
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "rules.stated",
            format!("{} thresholds are the promised ones", STATED.len()),
        ));
    }
    Ok(findings)
}

/// Whether the expression compares exactly so: `> 0.25` and `> 0.2 * 2` are not `> 0.2`.
fn holds(rule: &Rule, condition: &str) -> bool {
    let expr = rule.spaced_expr();
    expr.match_indices(condition).any(|(start, _)| {
        let before = expr[..start].chars().next_back();
        let mut after = expr[start + condition.len()..].chars();
        let is_whole = after.clone().next().is_none_or(|next| next == ' ' || next == ')');
        let goes_on = after.find(|next| *next != ' ').is_some_and(|next| "*/+-%^".contains(next));
        before.is_none_or(|before| before == ' ' || before == '(') && is_whole && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(expr: &str) -> Rule {
        yaml_serde::from_str(&format!("alert: A\nexpr: |\n  {expr}\n")).unwrap()
    }

    #[test]
    fn only_the_promised_number_holds() {
        for expr in ["a > 0.2", "(a > 0.2) and b", "a\n  > 0.2 and b > 1"] {
            assert!(holds(&rule(expr), "a > 0.2"), "{expr}");
        }
        for expr in ["a > 0.25", "a > 0.2 * 2", "a >= 0.2", "aa > 0.2", "a < 0.2", "a > 0.20"] {
            assert!(!holds(&rule(expr), "a > 0.2"), "{expr}");
        }
    }
}
