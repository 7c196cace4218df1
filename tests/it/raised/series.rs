//! Whether every rule that the running Prometheus has loaded has something to go by.

use serde_json::Value;
use tests::{Part, net};
use xtask::check::promql;

use super::stage::results;
use crate::monitoring::prometheus;

/// Every recorded series has a number, and every metric that an alert reads is there.
pub(super) fn every_rule_has_what_it_reads(monitoring: &Part<'_>) {
    let rules = rules(monitoring);
    let count = |kind: &str| rules.iter().filter(|rule| rule["type"] == kind).count();
    assert!(count("recording") > 20 && count("alerting") > 30, "the shipped rules are loaded");
    net::eventually("every rule has what it reads", || {
        let missing: Vec<_> = rules.iter().flat_map(|rule| lacks(monitoring, rule)).collect();
        println!("still missing: {missing:?}");
        missing.is_empty()
    });
}

fn rules(monitoring: &Part<'_>) -> Vec<Value> {
    let said = prometheus(monitoring, "/api/v1/rules");
    let groups = said["data"]["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// What `rule` reads or records and Prometheus does not have.
fn lacks(monitoring: &Part<'_>, rule: &Value) -> Vec<String> {
    let text = |key: &str| rule[key].as_str().unwrap().to_owned();
    let name = text("name");
    // Other than NaN, which equals nothing: a rate that divides by no traffic is no value.
    let has_number =
        |series: &str| !results(monitoring, &format!("{series} == {series}")).is_empty();
    if rule["type"] == "recording" {
        return if has_number(&name) { Vec::new() } else { vec![name] };
    }
    let query = text("query");
    let metrics = promql::metrics(&query);
    let absent = metrics.into_iter().filter(|metric| !has_number(metric));
    absent.map(|metric| format!("{metric} of {name}")).collect()
}
