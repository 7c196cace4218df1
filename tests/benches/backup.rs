//! Backups beside what a user would type instead, in turn, on the same data.
//! `cargo bench -p tests --bench backup` prints times, rates, ratios and peak memory;
//! `BENCH_SCALE=30` makes less data than pgbench's scale 100 (1.5 GB).

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
    println!("{:<26} {:>8}   {:<44} {:>8}  {:>6}", "xtask", "median", "instead", "median", "ratio");

    let base = format!(
        "docker exec {id} sh -c 'pg_basebackup --pgdata - --format tar --wal-method fetch --checkpoint fast --username $POSTGRES_USER --host 127.0.0.1"
    );
    let create = ["backup", "dev", "--only", "postgres", "--quiet"];
    let ours = || site.command(&create);
    let file = format!("'{scratch}/theirs.tar.zst'");
    compare(
        "create",
        &ours,
        "docker exec pg_basebackup | zstd, sha256sum",
        &format!("{base}' | zstd -T0 -3 -q -f -o {file} && sha256sum {file}"),
    );
    compare("create", &ours, "pg_basebackup >/dev/null, inside", &format!("{base} >/dev/null'"));
    compare(
        "create",
        &ours,
        "tar | gzip of the directory",
        &format!("tar -C '{data}' -cf - . | gzip >'{scratch}/theirs.tar.gz' || true"),
    );
    if on_path("restic").is_some() {
        let restic = format!(
            "export RESTIC_PASSWORD=x RESTIC_REPOSITORY='{scratch}/restic'; rm -rf \"$RESTIC_REPOSITORY\"; restic init -q;"
        );
        compare(
            "create",
            &ours,
            "restic backup, first run",
            &format!("{restic} restic backup -q '{data}' || true"),
        );
    }
    let listed = site.xtask(&["backup", "show", "latest", "--json"]).succeeds().json();
    let objects = listed["manifest"]["objects"].as_array().unwrap();
    let object = objects.iter().find(|object| object["service"] == "postgres").unwrap();
    let path = site.backups().join(object["path"].as_str().unwrap()).display().to_string();
    let contents = object["content_bytes"].as_u64().unwrap();
    compare(
        "verify SET",
        &|| site.command(&["backup", "verify", "latest", "--quiet"]),
        "sha256sum",
        &format!("sha256sum '{path}'"),
    );
    compare(
        "verify SET --deep",
        &|| site.command(&["backup", "verify", "latest", "--deep", "--quiet"]),
        "sha256sum; zstd -t",
        &format!("sha256sum '{path}'; zstd -tq '{path}'"),
    );
    let to = format!("{scratch}/ours");
    let restore = || {
        let _ = fs::remove_dir_all(&to);
        site.command(&["backup", "restore", "latest", "--only", "postgres", "--to", &to, "--quiet"])
    };
    compare(
        "restore --to DIR",
        &restore,
        "zstd -d | tar x",
        &format!(
            "rm -rf '{scratch}/x'; mkdir '{scratch}/x'; zstd -dc '{path}' | tar -C '{scratch}/x' -xf -"
        ),
    );

    println!(
        "\n{} MB of PostgreSQL, {} MB stored",
        contents >> 20,
        object["bytes"].as_u64().unwrap() >> 20
    );
    let rate = contents as f64 / object["seconds"].as_f64().unwrap() / f64::from(1 << 20);
    println!("create wrote its object at {rate:.0} MB/s");
    for (what, command) in [
        ("create", ours()),
        ("verify --deep", site.command(&["backup", "verify", "latest", "--deep", "--quiet"])),
        ("restore --to", restore()),
    ] {
        println!("peak memory of {what}: {} MB", peak(command) >> 10);
    }
}

/// Both in turn, so that neither has the quieter machine.
fn compare(label: &str, ours: &dyn Fn() -> Command, instead: &str, theirs: &str) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let mut command = ours();
        times[0]
            .push(time(|| assert!(quiet(&mut command).status().unwrap().success(), "{command:?}")));
        times[1].push(time(|| shell(theirs)));
    }
    let [mine, others] = times.map(median);
    let ratio = mine.as_secs_f64() / others.as_secs_f64();
    println!(
        "{label:<26} {:>6.2} s   {instead:<44} {:>6.2} s  {ratio:>6.2}",
        mine.as_secs_f64(),
        others.as_secs_f64()
    );
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
