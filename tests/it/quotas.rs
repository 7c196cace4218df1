//! Quotas: shown, judged, and said by what they are kept.

use std::fs;

use tests::Site;
use tests::composes::FULL;

#[test]
fn a_directory_near_its_quota_is_named_with_what_enforces_it() {
    let site = Site::new("quota", &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    let findings = || -> Vec<(String, String, String)> {
        let doctor = site.xtask(&["doctor", "dev", "--json"]).json();
        let all = doctor["findings"].as_array().unwrap().iter();
        let quotas = all.filter(|finding| finding["id"] == "data.quota");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        quotas.map(|it| (text(&it["severity"]), text(&it["found"]), text(&it["mend"]))).collect()
    };
    let fine = findings();
    assert!(fine.len() == 1 && fine[0].0 == "ok", "{fine:?}");
    // 64 MB of memory, four times.
    assert!(fine[0].1.contains("of 256 MB (REDIS_MAX_MEMORY)"), "{fine:?}");
    assert!(
        fine[0].1.contains("postgres") && fine[0].1.contains("of 20 GB (only watched)"),
        "{fine:?}"
    );

    fs::write(site.data().join("redis/large"), vec![1; 230 << 20]).unwrap();
    let near = findings();
    assert!(near.len() == 1 && near[0].0 == "warning", "{near:?}");
    assert!(near[0].1.contains("redis has 230 MB, 90 % of its quota of 256 MB"), "{near:?}");
    assert!(near[0].2.contains("look at REDIS_MAX_MEMORY"), "{near:?}");
}
