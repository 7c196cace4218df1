//! Backups of a Prometheus of a hundred blocks beside what a user would type instead, in turn, on
//! the same data. `cargo bench -p tests --bench backup-prometheus`; `BENCH_SERIES` sets how many
//! series each block has. What restic does is compared where restic is installed.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::time::Instant;

use serde_json::Value;
use tests::Site;
use tests::blocks;
use tests::compare::{Comparison, peak};
use tests::composes::{FULL, on_path};

const BLOCKS: u64 = 100;

fn main() {
    let series = std::env::var("BENCH_SERIES").map_or(2000, |text| text.parse().unwrap());
    let site = Site::new("bench-blocks", &[FULL[1]]);
    site.xtask(&[&["up", "monitoring"], Site::images()].concat()).succeeds();
    // The oldest stays within the retention, and the newest is left for later.
    blocks::make(&site, 1..BLOCKS + 1, series);
    let first = || {
        let _ = fs::remove_dir_all(site.backups());
        site.command(&CREATE)
    };
    let again = || site.command(&CREATE);
    let (megabytes, stored, seconds) = written(&site);
    println!("{BLOCKS} blocks, {megabytes:.0} MB of Prometheus, {stored:.0} MB stored");
    let table = Comparison::of(megabytes);

    let data = blocks::folder(&site).display().to_string();
    let scratch = site.root().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let scratch = scratch.display();
    // What Prometheus removes meanwhile is no failure of theirs.
    let tar = format!("tar -C '{data}' -cf - . | gzip >'{scratch}/theirs.tar.gz' || true");
    table.beside("create, first", &first, "tar | gzip of the directory", &tar, 0.15);
    match on_path("restic") {
        Some(_) => {
            let restic = format!(
                "export RESTIC_PASSWORD=x RESTIC_REPOSITORY='{scratch}/restic'; [ -e \"$RESTIC_REPOSITORY\" ] || restic init -q; restic backup -q '{data}' || true"
            );
            let fresh = format!("rm -rf '{scratch}/restic'; {restic}");
            table.beside("create, first", &first, "restic backup, first run", &fresh, 0.6);
            table.beside("create, second", &again, "restic backup, second run", &restic, 1.0);
        }
        None => println!("restic is not installed, so not compared"),
    }

    blocks::make(&site, 0..1, series);
    let (_, more, later) = written(&site);
    println!(
        "\nafter one more block: {:.3} of the first run's bytes (at most 0.05); {:.3} of the time \
         that its objects took (at most 0.05), {:.3} of the time of the whole command",
        more / stored,
        later.0 / seconds.0,
        later.1 / seconds.1
    );
    println!("peak memory of create, first: {} MB (at most 64)", peak(first()) >> 10);
}

const CREATE: [&str; 5] = ["backup", "create", "mon", "--only", "prometheus"];

/// Megabytes that the next backup reads and stores for Prometheus, and the seconds that its objects
/// take and the whole command.
fn written(site: &Site) -> (f64, f64, (f64, f64)) {
    let start = Instant::now();
    let set = site.xtask(&[&CREATE[..], &["--json"]].concat()).succeeds().json()["sets"][0].take();
    let whole = start.elapsed().as_secs_f64();
    let objects: Vec<&Value> = set["objects"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|object| object["service"] == "prometheus" && object["seconds"] != 0.0)
        .collect();
    let sum = |name: &str| objects.iter().map(|object| object[name].as_f64().unwrap()).sum::<f64>();
    let megabyte = f64::from(1 << 20);
    (sum("content_bytes") / megabyte, sum("bytes") / megabyte, (sum("seconds"), whole))
}
