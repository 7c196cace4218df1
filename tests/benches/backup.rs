//! Backups beside what a user would type instead, in turn, on the same data.
//! `cargo bench -p tests --bench backup` prints times, rates (of the data, not of what is stored),
//! ratios with what they may be at most, and peak memory; `BENCH_SCALE=30` makes less data than
//! pgbench's scale 100 (1.5 GB). What restic does is compared where restic is installed.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;

use serde_json::Value;
use tests::Site;
use tests::compare::{Comparison, peak, shell};
use tests::composes::{FULL, on_path};

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
    let table = Comparison::of(megabytes);

    let ours = || site.command(&create);
    let base = format!(
        "docker exec {id} sh -c 'pg_basebackup --pgdata - --format tar --wal-method fetch --checkpoint fast --username $POSTGRES_USER --host 127.0.0.1"
    );
    let file = format!("'{scratch}/theirs.tar.zst'");
    table.beside(
        "create",
        &ours,
        "docker exec pg_basebackup | zstd, sha256sum",
        &format!("{base}' | zstd -T0 -3 -q -f -o {file} && sha256sum {file}"),
        0.4,
    );
    let inside = format!("{base} >/dev/null'");
    table.beside("create", &ours, "pg_basebackup >/dev/null, inside", &inside, 1.8);
    table.beside(
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
            table.beside("create", &ours, "restic backup, first run", &first, 0.6);
            table.beside("create", &ours, "restic backup, second run", &restic, f64::INFINITY);
        }
        None => println!("restic is not installed, so not compared"),
    }
    table.beside(
        "verify SET",
        &|| site.command(&["backup", "verify", "latest", "--quiet"]),
        "sha256sum",
        &format!("sha256sum '{path}'"),
        0.6,
    );
    table.beside(
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
    table.beside(
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
