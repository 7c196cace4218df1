//! Backups beside what a user would type instead, in turn, on the same data.
//! `cargo bench -p tests --bench backup` prints times, rates (of the data, not of what is stored),
//! ratios with what they may be at most, and peak memory; `BENCH_SCALE=30` makes less data than
//! pgbench's scale 100 (1.5 GB). What restic does is compared where restic is installed.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::Site;
use tests::composes::{FULL, on_path};

const ROUNDS: usize = 3;

fn main() {
    let scale = std::env::var("BENCH_SCALE").unwrap_or_else(|_| "100".to_owned());
    let site = Site::new("bench-backup", &[FULL[1]]);
    site.up();
    let id = site.development().container("postgres");
    shell(&format!(
        "docker exec {id} sh -c 'pgbench --initialize --quiet --scale {scale} --username $POSTGRES_USER --host 127.0.0.1 $POSTGRES_DB'"
    ));
    let scratch = site.root().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let scratch = scratch.display().to_string();
    let data = site.data().join("postgres").display().to_string();
    let create = ["backup", "dev", "--only", "postgres", "--quiet"];
    site.xtask(&create).succeeds();
    let object = newest(&site);
    let path = site.backups().join(object["path"].as_str().unwrap()).display().to_string();
    let megabytes = object["content_bytes"].as_f64().unwrap() / f64::from(1 << 20);
    println!(
        "{megabytes:.0} MB of PostgreSQL, {} MB stored",
        object["bytes"].as_u64().unwrap() >> 20
    );
    let table = Table::new(megabytes);

    let ours = || site.command(&create);
    let base = format!(
        "docker exec {id} sh -c 'pg_basebackup --pgdata - --format tar --wal-method fetch --checkpoint fast --username $POSTGRES_USER --host 127.0.0.1"
    );
    let file = format!("'{scratch}/theirs.tar.zst'");
    table.compare(
        "create",
        &ours,
        "docker exec pg_basebackup | zstd, sha256sum",
        &format!("{base}' | zstd -T0 -3 -q -f -o {file} && sha256sum {file}"),
        0.4,
    );
    let inside = format!("{base} >/dev/null'");
    table.compare("create", &ours, "pg_basebackup >/dev/null, inside", &inside, 1.8);
    table.compare(
        "create",
        &ours,
        "tar | gzip of the directory",
        &format!("tar -C '{data}' -cf - . | gzip >'{scratch}/theirs.tar.gz' || true"),
        0.15,
    );
    match on_path("restic") {
        Some(_) => {
            let restic = format!(
                "export RESTIC_PASSWORD=x RESTIC_REPOSITORY='{scratch}/restic'; [ -e \"$RESTIC_REPOSITORY\" ] || restic init -q; restic backup -q '{data}' || true"
            );
            let first = format!("rm -rf '{scratch}/restic'; {restic}");
            table.compare("create", &ours, "restic backup, first run", &first, 0.6);
            table.compare("create", &ours, "restic backup, second run", &restic, f64::INFINITY);
        }
        None => println!("restic is not installed, so not compared"),
    }
    table.compare(
        "verify SET",
        &|| site.command(&["backup", "verify", "latest", "--quiet"]),
        "sha256sum",
        &format!("sha256sum '{path}'"),
        0.6,
    );
    table.compare(
        "verify SET --deep",
        &|| site.command(&["backup", "verify", "latest", "--deep", "--quiet"]),
        "sha256sum; zstd -t",
        &format!("sha256sum '{path}'; zstd -tq '{path}'"),
        1.1,
    );
    let to = format!("{scratch}/ours");
    let restore = || {
        let _ = fs::remove_dir_all(&to);
        site.command(&["backup", "restore", "latest", "--only", "postgres", "--to", &to, "--quiet"])
    };
    table.compare(
        "restore --to DIR",
        &restore,
        "zstd -d | tar x",
        &format!(
            "rm -rf '{scratch}/x'; mkdir '{scratch}/x'; zstd -dc '{path}' | tar -C '{scratch}/x' -xf -"
        ),
        1.1,
    );

    let object = newest(&site);
    let rate = megabytes / object["seconds"].as_f64().unwrap();
    println!("\ncreate wrote its object at {rate:.0} MB/s");
    for (what, command) in [
        ("create", ours()),
        ("verify --deep", site.command(&["backup", "verify", "latest", "--deep", "--quiet"])),
        ("restore --to", restore()),
    ] {
        println!("peak memory of {what}: {} MB (at most 64)", peak(command) >> 10);
    }
}

/// The object of PostgreSQL in the newest set.
fn newest(site: &Site) -> Value {
    let shown = site.xtask(&["backup", "show", "latest", "--json"]).succeeds().json();
    let objects = shown["manifest"]["objects"].as_array().unwrap();
    objects.iter().find(|object| object["service"] == "postgres").unwrap().clone()
}

/// Comparisons over the same data.
struct Table {
    megabytes: f64,
}

impl Table {
    fn new(megabytes: f64) -> Self {
        println!(
            "{:<18} {:>8} {:>6}  {:<44} {:>8} {:>6} {:>6}  at most",
            "xtask", "median", "MB/s", "instead", "median", "MB/s", "ratio"
        );
        Self { megabytes }
    }

    /// Both in turn, so that neither has the quieter machine.
    fn compare(
        &self,
        label: &str,
        ours: &dyn Fn() -> Command,
        instead: &str,
        theirs: &str,
        most: f64,
    ) {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let mut command = ours();
            times[0].push(time(|| {
                assert!(quiet(&mut command).status().unwrap().success(), "{command:?}");
            }));
            times[1].push(time(|| shell(theirs)));
        }
        let [mine, others] = times.map(|times| median(times).as_secs_f64());
        let [rate, others_rate] = [mine, others].map(|seconds| self.megabytes / seconds);
        let most = if most.is_finite() { most.to_string() } else { "-".to_owned() };
        println!(
            "{label:<18} {mine:>6.2} s {rate:>6.0}  {instead:<44} {others:>6.2} s {others_rate:>6.0} {:>6.2}  {most}",
            mine / others
        );
    }
}

fn shell(script: &str) {
    let status =
        quiet(Command::new("bash").args(["-euo", "pipefail", "-c", script])).status().unwrap();
    assert!(status.success(), "{script}");
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The most memory that xtask itself had, in kilobytes.
fn peak(mut command: Command) -> u64 {
    let mut child: Child = quiet(&mut command).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        peak = peak.max(now);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}
