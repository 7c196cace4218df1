//! A service that fills its disk, or takes more memory than it may, is alone in that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tests::composes::FULL;
use tests::disk::SmallDisk;
use tests::prometheus::Prometheus;
use tests::{Site, docker, net, root};

/// Room for an empty PostgreSQL, and for some minutes of writing.
const DISK: u64 = 256 << 20;
/// Rows that are written at a time; about 3 MB with their log.
const ROWS: u64 = 10_000;

#[test]
#[ignore = "for cargo xtask test --long"]
fn a_service_that_fills_its_disk_or_its_memory_is_alone_in_that() {
    let site = Site::new("limits", &[FULL[1]]);
    let disk = SmallDisk::mount(&site.data().join("postgres"), DISK);
    configure_sizes(&site);
    site.up();
    // What makes room when it goes.
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 64 << 20]).unwrap();
    let before = starts(&site);
    let rows = fill(&site, &disk);
    let memory = overrun(&site);

    let mut after = starts(&site);
    assert_ne!(after["redis"], before["redis"], "it was stopped, and started again");
    for alone in ["postgres", "redis"] {
        after.insert(alone.to_owned(), before[alone].clone());
    }
    assert_eq!(after, before, "the others run on");
    net::send_mail(site.port("MAILHOG_SMTP_PORT"), "still here");
    assert_eq!(memory, "kept");

    fs::remove_file(ballast).unwrap();
    site.up();
    let found: u64 = site.sql("select count(*) from filler").parse().unwrap();
    assert!(found >= rows && found.is_multiple_of(ROWS), "{found} of {rows} rows are left");
    site.sql("insert into filler values ('goes on')");
}

/// Fills PostgreSQL's disk until it takes nothing more, past the alerts. Returns the rows that it
/// has taken.
fn fill(site: &Site, disk: &SmallDisk) -> u64 {
    site.sql("create table filler (line text)");
    let watch = Watch::start(site, disk);
    let insert = format!(
        "insert into filler select md5(random()::text) || md5(random()::text) || md5(random()::text) from generate_series(1, {ROWS})"
    );
    let mut rows = 0;
    while disk.used() < 0.87 {
        site.sql(&insert);
        rows += ROWS;
    }
    site.xtask(&["metrics"]).succeeds();
    for alert in ["DiskUtilisationHigh warning", "DataDirectoryNearQuota warning"] {
        watch.prometheus.wait(&format!("{alert} at {:.0} %", disk.used() * 100.0), |it| {
            it.firing().iter().any(|firing| firing == alert)
        });
    }
    let insert = ["shell", "dev", "postgres", "--", "-v", "ON_ERROR_STOP=1", "-c", &insert];
    loop {
        let run = site.xtask(&insert);
        if run.status != 0 {
            return rows;
        }
        rows += ROWS;
    }
}

/// Has Redis take far more memory than its container may, and returns what it still knows after
/// that.
fn overrun(site: &Site) -> String {
    let container = site.development().container("redis");
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let shell = |words: &[&str]| site.xtask(&[&["shell", "dev", "redis", "--"], words].concat());
    shell(&["set", "word", "kept"]).succeeds();
    // Past maxmemory, which this command does not look at.
    shell(&["debug", "populate", "1000000", "filler", "1000"]);
    let deadline = Instant::now() + Duration::from_secs(120);
    let kept = loop {
        let run = shell(&["get", "word"]);
        if run.status == 0 {
            break run.stdout.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "Redis does not come back: {}", run.stderr);
        std::thread::sleep(Duration::from_millis(500));
    };
    let filter = format!("container={container}");
    let events = ["events", "--since", &began, "--until", "0s", "--filter", &filter];
    let format = "{{.Action}} {{.Actor.Attributes.exitCode}}";
    let said = docker(&[&events[..], &["--format", format]].concat());
    assert!(
        said.contains("oom ") && said.contains("die 137"),
        "the kernel did not kill it: {said}"
    );
    kept
}

/// When each service's container was last started.
fn starts(site: &Site) -> BTreeMap<String, String> {
    let containers = site.containers();
    let ids = containers.iter().filter_map(|line| line.split_once(' ')).map(|(_, id)| id);
    let format = "{{index .Config.Labels \"com.docker.compose.service\"}} {{.State.StartedAt}}";
    let inspect: Vec<_> = ["inspect", "--format", format].into_iter().chain(ids).collect();
    let text = docker(&inspect);
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(service, start)| (service.to_owned(), start.to_owned())).collect()
}

/// Has the stack take so small a disk for enough, and a little less than all of it for PostgreSQL's quota.
fn configure_sizes(site: &Site) {
    SmallDisk::is_enough_for(site, "32MB");
    let path = site.root().join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&path).unwrap();
    let shipped = "quota = \"20GB\"";
    assert!(text.contains(shipped), "{shipped}");
    fs::write(path, text.replace(shipped, "quota = \"200MB\"")).unwrap();
}

/// A Prometheus with the shipped rules, and a node-exporter that sees one disk and what the
/// infrastructure says of itself.
struct Watch {
    prometheus: Prometheus,
    exporter: String,
    _folder: tempfile::TempDir,
}

impl Watch {
    fn start(site: &Site, disk: &SmallDisk) -> Self {
        let exporter = docker(&[
            "run",
            "--detach",
            "--volume",
            &format!("{}:/disks/at/full:ro", disk.path().display()),
            "--volume",
            &format!("{}:/metrics:ro", site.data().join("metrics").display()),
            &Site::offline_or("node-exporter", "1.5", "prom/node-exporter:v1.6.0"),
            "--collector.disable-defaults",
            "--collector.filesystem",
            "--collector.textfile",
            "--collector.textfile.directory=/metrics",
        ]);
        let address = docker(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &exporter]);
        let folder = tempfile::tempdir().unwrap();
        configure(folder.path(), &address);
        let image = Site::offline_or("prometheus", "2.42", "prom/prometheus:v2.45.0");
        let prometheus = Prometheus::start(&image, folder.path());
        Self { prometheus, exporter, _folder: folder }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.exporter]);
    }
}

/// The shipped rules without their waits; the thresholds are as shipped.
fn configure(folder: &Path, exporter: &str) {
    let shipped = root().join("infrastructure/docker/monitoring/prometheus/rules");
    for name in ["resources.yml", "infrastructure.yml"] {
        let rules = fs::read_to_string(shipped.join(name)).unwrap();
        let lines = rules.lines().filter(|line| !line.trim_start().starts_with("for: "));
        fs::write(folder.join(name), lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [resources.yml, infrastructure.yml]\n\
         scrape_configs:\n\
         - job_name: node\n  \
           static_configs: [{{targets: ['{exporter}:9100']}}]\n  \
           metric_relabel_configs: [{{source_labels: [mountpoint], regex: '/disks/at/full|', action: keep}}]\n"
    );
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let open = Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status();
    assert!(open.expect("chmod runs").success());
}
