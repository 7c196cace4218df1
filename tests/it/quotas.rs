//! Quotas: shown, judged, and said by what they are kept.

use std::fs;
use std::process::{Command, Stdio};

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

/// What promtool says of metrics.
fn promtool(metrics: &str) -> String {
    let image = if Site::is_offline() {
        "case-interview-offline/prometheus:2.42"
    } else {
        "prom/prometheus:v2.45.0"
    };
    let mut check = Command::new("docker")
        .args([
            "run",
            "--rm",
            "--interactive",
            "--entrypoint",
            "promtool",
            image,
            "check",
            "metrics",
        ])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), metrics.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    said
}

#[test]
fn the_infrastructure_reports_on_itself_as_root_and_as_a_user() {
    let mut site = Site::new("metrics", &[FULL[1]]);
    site.xtask(&["metrics"]).ends_with(3).says("no stack is set up");
    let label = format!("com.docker.compose.project={}", site.project());
    let name = format!("{}-redis", site.project());
    let redis =
        if Site::is_offline() { "case-interview-offline/redis:6.2" } else { "redis:6-alpine" };
    let service = "com.docker.compose.service=redis";
    let args = [
        "run",
        "--name",
        &name,
        "--label",
        &label,
        "--label",
        service,
        "--entrypoint",
        "echo",
        redis,
        "a line",
    ];
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    assert!(Command::new("docker").args(args).stdout(Stdio::null()).status().unwrap().success());
    for as_user in [false, true] {
        if as_user {
            let socket = fs::metadata("/var/run/docker.sock").unwrap();
            // The servers' directories stay theirs: only what is the user's own changes hands.
            site.run_as(12345, std::os::unix::fs::MetadataExt::gid(&socket));
            let data = site.data();
            let chown =
                Command::new("chown").args(["-R", "999:999"]).arg(data.join("postgres")).status();
            assert!(chown.unwrap().success());
        }
        site.xtask(&["rotate-logs", "dev"]).succeeds();
        site.xtask(&["metrics"]).succeeds();
        let metrics = fs::read_to_string(site.data().join("metrics/infrastructure.prom")).unwrap();
        promtool(&metrics);
        let offline = u8::from(Site::is_offline());
        for line in [
            "case_interview_data_directory_quota_bytes{directory=\"redis\"} 268435456",
            "case_interview_data_directory_bytes{directory=\"postgres\"} ",
            "case_interview_log_gaps_total{stack=\"development\",service=\"redis\"} 0",
            "case_interview_log_archive_last_line_timestamp_seconds{stack=\"development\",service=\"redis\"} 1",
            &format!(
                "case_interview_offline_image{{stack=\"development\",service=\"redis\"}} {offline}"
            ),
        ] {
            assert!(metrics.contains(line), "{line}\n{metrics}");
        }
    }
}
