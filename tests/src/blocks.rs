//! Blocks of Prometheus, as many and as old as a test wants.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::{Site, docker};

/// The length of a block, in seconds.
const LENGTH: u64 = 2 * 3600;

/// Where the monitoring stack's Prometheus keeps its data.
pub fn folder(site: &Site) -> PathBuf {
    site.data().join("prometheus")
}

/// Real blocks of 2 hours, `ages` blocks before now, each with so many series and a sample a
/// minute. Marked so that Prometheus joins them with no others.
pub fn make(site: &Site, ages: Range<u64>, series: u64) -> BTreeSet<String> {
    let image =
        docker(&["inspect", "--format", "{{.Image}}", &site.monitoring().container("prometheus")]);
    let data = folder(site);
    let before = there(site);
    // A file each: promtool reads all of one again for every block that it makes.
    let samples = tempfile::tempdir().unwrap();
    fs::set_permissions(samples.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let newest = now / LENGTH * LENGTH - LENGTH;
    for age in ages {
        let file = fs::File::create(samples.path().join(age.to_string())).unwrap();
        let mut file = std::io::BufWriter::new(file);
        writeln!(file, "# TYPE synthetic gauge").unwrap();
        for number in 0..series {
            for minute in 0..LENGTH / 60 {
                let time = newest - age * LENGTH + minute * 60;
                // What compresses as badly as real measurements.
                let noise = (time + number).wrapping_mul(6_364_136_223_846_793_005) >> 11;
                writeln!(file, "synthetic{{number=\"{number}\"}} {noise} {time}").unwrap();
            }
        }
        writeln!(file, "# EOF").unwrap();
        file.flush().unwrap();
    }
    let made = Command::new("docker")
        .args(["run", "--rm", "--user", "65534:65534", "--entrypoint", "sh"])
        .args(["--volume", &format!("{}:/samples:ro", samples.path().display())])
        .args(["--volume", &format!("{}:/data", data.display()), &image, "-euc"])
        .arg("for file in /samples/*; do promtool tsdb create-blocks-from openmetrics \"$file\" /data; done")
        .output()
        .expect("docker runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: BTreeSet<_> = there(site).difference(&before).cloned().collect();
    for block in &made {
        let path = data.join(block).join("meta.json");
        let mut meta: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        meta["compaction"]["failed"] = true.into();
        fs::write(&path, meta.to_string()).unwrap();
    }
    site.xtask(&["restart", "monitoring", "prometheus"]).succeeds();
    made
}

/// The names of the blocks of the monitoring stack's Prometheus.
pub fn there(site: &Site) -> BTreeSet<String> {
    let names = fs::read_dir(folder(site)).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.len() == 26).collect()
}
