//! Each promised alert is raised by the real thing on the running stacks: a disk that is really full,
//! processors that really work, servers that are really away. Thresholds are as shipped; `for` is
//! left out and windows of five minutes are seconds, so that nobody waits for a quarter of an hour.
//!
//! Two doubles, since the machine is shared and a test takes no days: what node-exporter reads of
//! the machine's memory is a copy of /proc/meminfo in which little is free, and yesterday's outage of
//! the platform is written into Prometheus's data.

mod causes;
mod series;
mod stage;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tests::Part;
use xtask::check::rules::stated::STATED;

use crate::monitoring::prometheus;
use causes::Busy;
use stage::Stage;

/// Far more than anything here takes, for a crowded machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the first causes raise.
const UNDER_LOAD: [&str; 12] = [
    "ApiErrorRateHigh",
    "ApiLatencyHigh",
    "CertificateExpiresSoon",
    "ContainerMemoryHigh",
    "DataDirectoryNearQuota",
    "DiskFillingUp",
    "DiskUtilisationHigh",
    "InodeUtilisationHigh",
    "MemoryUtilisationHigh",
    "PostgresBufferHitRateLow",
    "RedisHitRateLow",
    "RedisMemoryHigh",
];
/// Apart from the others, whose causes make work too.
const AT_WORK: [&str; 1] = ["CpuUtilisationHigh"];
/// What is raised once services are away.
const AWAY: [&str; 8] = [
    "ExternalHttpDown",
    "ExternalTcpDown",
    "PlatformErrorBudgetBurnFast",
    "PlatformErrorBudgetBurnSlow",
    "PlatformUptimeLow",
    "PostgresDown",
    "RedisDown",
    "TargetDown",
];

#[test]
fn each_promised_alert_is_raised_by_the_real_thing() {
    let raised: BTreeSet<_> = UNDER_LOAD.iter().chain(&AT_WORK).chain(&AWAY).copied().collect();
    let promised = STATED.map(|stated| stated.alert);
    let missing: Vec<_> = promised.iter().filter(|alert| !raised.contains(*alert)).collect();
    assert!(missing.is_empty(), "promised, and not raised here: {missing:?}");

    let mut stage = Stage::new();
    let quiet = firing(&stage.site.monitoring());
    let early: Vec<_> =
        UNDER_LOAD.iter().chain(&AWAY).filter(|alert| quiet.contains(**alert)).collect();
    assert!(early.is_empty(), "without a cause: {early:?}");

    stage.load();
    wait_for(&stage, &UNDER_LOAD);
    stage.seen_on_the_right_disk();
    series::every_rule_has_what_it_reads(&stage.site.monitoring());
    {
        let _busy = Busy::every_processor();
        wait_for(&stage, &AT_WORK);
    }
    stage.take_away();
    wait_for(&stage, &AWAY);
}

/// Waits until each of `alerts` has fired at least once, and prints when it did.
#[track_caller]
fn wait_for(stage: &Stage, alerts: &[&str]) {
    let start = Instant::now();
    let mut missing: BTreeSet<&str> = alerts.iter().copied().collect();
    while !missing.is_empty() {
        for alert in firing(&stage.site.monitoring()) {
            if missing.remove(alert.as_str()) {
                println!("{alert}: after {:.0} s", start.elapsed().as_secs_f64());
            }
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {missing:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The alerts that fire, but for those about the disk of the root, which others fill too.
fn firing(monitoring: &Part<'_>) -> BTreeSet<String> {
    let said = prometheus(monitoring, "/api/v1/alerts");
    let alerts = said["data"]["alerts"].as_array().unwrap().iter();
    let firing =
        alerts.filter(|alert| alert["state"] == "firing" && alert["labels"]["mountpoint"] != "/");
    firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
}
