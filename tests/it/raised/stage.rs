//! Both stacks on a small disk of their own, watched in a hurry, with an API and services elsewhere.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tests::api::{Behaviour, SyntheticApi};
use tests::composes::FULL;
use tests::disk::SmallDisk;
use tests::prometheus::hurry;
use tests::{Part, Site, docker, net};

use super::causes;
use crate::monitoring::{prometheus, targets, up};

const HEALTHY: Behaviour = Behaviour { traffic: 50.0, latency: 0.04, errors: 0.0 };
const DISK: u64 = 2 << 30;

pub(super) struct Stage {
    disk: SmallDisk,
    api: Option<SyntheticApi>,
    pub site: Site,
}

impl Stage {
    pub(super) fn new() -> Self {
        let site = Site::new("raised", &[FULL[1]]);
        // DATA_DIR is a disk of its own, as on many servers.
        let disk = SmallDisk::mount(&site.data(), DISK);
        SmallDisk::is_enough_for(&site, "32MB");
        let image = Site::offline_or("prometheus", "2.42", "prom/prometheus:v2.45.0");
        let api = SyntheticApi::start(&image, HEALTHY);
        let stage = Self { disk, api: Some(api), site };
        stage.configure();
        up(&stage.site, "all").succeeds();
        stage.report();
        stage.wait();
        stage
    }

    fn configure(&self) {
        self.site.xtask(&["env", "init", "monitoring"]).succeeds();
        let monitoring = self.site.monitoring();
        monitoring.set_env("COMPOSE_PROFILES", "containers");
        let folder = monitoring.folder();
        let change = |file: &str, old: &str, new: &str| {
            let path = folder.join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(old), "{file}: {old}");
            fs::write(path, text.replace(old, new)).unwrap();
        };
        hurry(&folder.join("prometheus"));
        // Not of containers, at which cAdvisor looks once a minute.
        for (file, of) in [
            ("api.yml", ""),
            ("databases.yml", ""),
            ("resources.yml", r#"idle|iowait"}"#),
            ("resources.yml", "node_cpu_seconds_total"),
        ] {
            let (long, short) = (format!("{of}[5m]"), format!("{of}[20s]"));
            change(&format!("prometheus/rules/{file}"), &long, &short);
        }
        let api = self.api.as_ref().unwrap().address();
        self.watch("api.yml", &format!("- targets: ['{api}']\n"));
        self.watch(
            "http.yml",
            // Which asks for a password.
            "- targets: ['http://prometheus:9090/']\n  labels: {__module: http_answers}\n",
        );
        self.watch("tcp.yml", "- targets: ['prometheus:9090']\n");
        // The certificate is nobody's.
        change(
            "blackbox/blackbox.yml",
            "tls: true",
            "tls: true\n      tls_config: { insecure_skip_verify: true }",
        );
        // The double of the machine's memory, honest so far.
        fs::copy("/proc/meminfo", self.meminfo()).unwrap();
        let mount = "        target: /var/lib/node-exporter/textfile\n";
        let memory = format!(
            "{mount}        read_only: true\n      - type: bind\n        source: '{}'\n        target: /proc/meminfo\n",
            self.meminfo().display()
        );
        change("docker-compose.yml", mount, &memory);
    }

    /// Writes a file of targets, which Prometheus sees by itself.
    fn watch(&self, file: &str, targets: &str) {
        let folder = self.site.monitoring().folder().join("prometheus/targets");
        fs::write(folder.join(file), targets).unwrap();
    }

    /// What node-exporter reads of the machine's memory.
    pub(super) fn meminfo(&self) -> PathBuf {
        self.site.root().join("meminfo")
    }

    /// The scheduled work: a backup with one before it, a drill, logs, metrics.
    fn report(&self) {
        self.site.xtask(&["backup", "dev"]).succeeds();
        self.site.xtask(&["backup", "dev"]).succeeds();
        self.site.xtask(&["backup", "drill"]).succeeds();
        self.site.xtask(&["rotate-logs"]).succeeds();
        self.site.xtask(&["schedule", "run", "metrics"]).succeeds();
    }

    fn wait(&self) {
        let monitoring = self.site.monitoring();
        net::eventually("every target is up", || {
            targets(&monitoring).iter().all(|(_, health)| health == "up")
        });
        net::eventually("the API's traffic and every disk are seen", || {
            let value = |query: &str| !results(&monitoring, query).is_empty();
            value("job:http_requests:rate5m > 40")
                && value(r#"instance_mountpoint:node_filesystem_utilisation:ratio{mountpoint="/"}"#)
        });
    }

    /// All that can go wrong while everything runs.
    pub(super) fn load(&self) {
        let site = &self.site;
        self.api.as_ref().unwrap().behave(Behaviour { latency: 0.3, errors: 0.08, ..HEALTHY });
        // While there is room: Prometheus's tools reserve half a gigabyte for each block.
        causes::yesterdays_outage(site);
        causes::show_a_certificate(site);
        self.watch("tcp.yml", "- targets: ['certificate:8443']\n  labels: {__module: tcp_tls}\n");
        causes::little_memory(&self.meminfo());
        causes::fill_a_container(site);
        causes::fill_redis(site);
        causes::miss_in_redis(site);
        causes::read_past_the_cache(site);
        causes::narrow_the_quota(site);
        self.disk.use_up_inodes(&site.data().join("many"), 0.12);
        self.disk.fill(&site.data().join("ballast"), DISK * 12 / 100);
    }

    /// The disk of DATA_DIR alone, by its place and once, though it is there as the engine's too where
    /// that lies on it.
    pub(super) fn seen_on_the_right_disk(&self) {
        let monitoring = self.site.monitoring();
        for alert in ["DiskUtilisationHigh", "InodeUtilisationHigh"] {
            let query = format!(r#"ALERTS{{alertname="{alert}"}}"#);
            let disks: Vec<_> = results(&monitoring, &query)
                .iter()
                .map(|series| series["metric"]["mountpoint"].as_str().unwrap().to_owned())
                .filter(|place| place != "/")
                .collect();
            assert_eq!(disks, [self.site.data().display().to_string()], "{alert}");
        }
    }

    /// All that is away at last: the API, what is probed, the databases, a service of monitoring.
    pub(super) fn take_away(&mut self) {
        let gateway = self.api.take().unwrap().address().ip();
        let (development, monitoring) = (self.site.development(), self.site.monitoring());
        self.watch("http.yml", &format!("- targets: ['http://{gateway}:1/']\n"));
        self.watch("tcp.yml", &format!("- targets: ['{gateway}:1']\n"));
        docker(&[
            "stop",
            "--time",
            "20",
            &development.container("postgres"),
            &development.container("redis"),
            &monitoring.container("alertmanager"),
        ]);
    }
}

/// What Prometheus answers to a query.
pub(super) fn results(monitoring: &Part<'_>, query: &str) -> Vec<Value> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let said = prometheus(monitoring, &format!("/api/v1/query?query={encoded}"));
    said["data"]["result"].as_array().unwrap().clone()
}
