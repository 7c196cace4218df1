//! What raises alerts, one function a cause; each takes little of a machine that others use too.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use tests::{Part, Site, docker};

/// Shows a certificate that is good for two days, to whoever asks.
const SERVE_TLS: &str = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=certificate \
    -keyout /tmp/key.pem -out /tmp/certificate.pem && \
    exec openssl s_server -quiet -www -accept 8443 -key /tmp/key.pem -cert /tmp/certificate.pem";

/// Programs that keep every processor busy, behind whatever else wants it; ended when dropped.
pub(super) struct Busy(Vec<Child>);

impl Busy {
    pub(super) fn every_processor() -> Self {
        let count = std::thread::available_parallelism().unwrap().get();
        let spin = || {
            let mut nice = Command::new("nice");
            // Not for ever, should nobody end it.
            nice.args(["-n", "19", "timeout", "300", "sh", "-c", "while :; do :; done"]);
            nice.spawn().unwrap()
        };
        Self((0..count).map(|_| spin()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // `timeout` passes it on to the shell.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

/// Has node-exporter read that a tenth of the memory is left.
pub(super) fn little_memory(meminfo: &Path) {
    let text = fs::read_to_string(meminfo).unwrap();
    let total: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    let changed = text.lines().map(|line| match line.split_once(':') {
        Some(("MemAvailable", _)) => format!("MemAvailable: {} kB\n", total / 10),
        _ => format!("{line}\n"),
    });
    // Into the file that is mounted.
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(meminfo).unwrap();
    file.write_all(changed.collect::<String>().as_bytes()).unwrap();
}

/// A container that holds nine tenths of the memory it may.
pub(super) fn fill_a_container(site: &Site) {
    let image = Site::offline_or("prometheus", "2.42", "prom/prometheus:v2.45.0");
    let words = ["--memory", "64m", "--tmpfs", "/fill:size=64m,mode=1777", "--entrypoint", "sh"];
    let script = "head -c 58m /dev/zero >/fill/it; exec sleep 900";
    run(&site.development(), "full", &words, &image, &["-c", script]);
}

/// Data that takes nine tenths of maxmemory, a little at a time: its log is memory too.
pub(super) fn fill_redis(site: &Site) {
    for part in 0..20 {
        let script = format!(
            "for i = 1, 295 do redis.call('set', 'filler{part}-' .. i, string.rep('x', 10240)) end"
        );
        site.redis(&["eval", &script, "0"]);
    }
}

/// Look-ups of what was never there, some a second.
pub(super) fn miss_in_redis(site: &Site) {
    let redis = site.development().container("redis");
    let script =
        "while sleep 0.1; do REDISCLI_AUTH=\"$REDIS_PASSWORD\" redis-cli get none; done >/dev/null";
    docker(&["exec", "--detach", &redis, "sh", "-c", script]);
}

/// Reads again and again what is too large for the buffer cache.
pub(super) fn read_past_the_cache(site: &Site) {
    site.sql("create table large as select repeat(md5(n::text), 20) as x from generate_series(1, 100000) n");
    let postgres = site.development().container("postgres");
    let script = "while sleep 0.2; do PGPASSWORD=\"$POSTGRES_PASSWORD\" psql -h 127.0.0.1 -U \"$POSTGRES_USER\" -d \"$POSTGRES_DB\" -c 'select count(*) from large'; done >/dev/null";
    docker(&["exec", "--detach", &postgres, "sh", "-c", script]);
}

/// A quota that PostgreSQL's data has nearly used up.
pub(super) fn narrow_the_quota(site: &Site) {
    let path = site.root().join("infrastructure/stacks.toml");
    let text = fs::read_to_string(&path).unwrap();
    let shipped = "quota = \"20GB\"";
    assert!(text.contains(shipped), "{shipped}");
    fs::write(path, text.replace(shipped, "quota = \"40MB\"")).unwrap();
    site.xtask(&["metrics"]).succeeds();
}

/// A server with TLS beside the prober.
pub(super) fn show_a_certificate(site: &Site) {
    let monitoring = site.monitoring();
    let network = format!("{}_probes", monitoring.project());
    let words = ["--network", &network, "--network-alias", "certificate", "--entrypoint", "sh"];
    let image = site.image("postgres");
    run(&monitoring, "certificate", &words, &image, &["-ec", SERVE_TLS]);
}

/// The double of an outage a day and two hours ago, for a minute out of ten.
pub(super) fn yesterdays_outage(site: &Site) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let line = |n: u64| {
        let value = u8::from(n >= 4);
        format!("platform:up:max {value} {}\n", now - 26 * 3600 + n * 15)
    };
    let samples: String = (0..40).map(line).collect();
    let prometheus = site.monitoring().container("prometheus");
    let script = "cat >/prometheus/yesterday && promtool tsdb create-blocks-from openmetrics /prometheus/yesterday /prometheus && rm /prometheus/yesterday";
    let mut made = Command::new("docker")
        .args(["exec", "--interactive", "--env", "TMPDIR=/prometheus", &prometheus])
        .args(["sh", "-euc", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let text = format!("# TYPE platform:up:max gauge\n{samples}# EOF\n");
    made.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(made.wait().unwrap().success());
}

/// Runs a container that goes with the stack's own.
fn run(part: &Part<'_>, name: &str, words: &[&str], image: &str, arguments: &[&str]) {
    let name = format!("{}-{name}", part.project());
    let label = format!("com.docker.compose.project={}", part.project());
    let own = ["run", "--detach", "--name", &name, "--label", &label];
    let output =
        Command::new("docker").args(own).args(words).arg(image).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
