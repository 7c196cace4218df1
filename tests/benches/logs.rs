//! Archiving and searching logs beside what a user would type instead, on the same log.
//! `cargo bench --bench logs` prints times, ratios, and the most memory that xtask took.
//! XTASK_BENCH_MEGABYTES chooses the size; 300 where it is not set.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::Site;
use tests::composes::FULL;

fn main() {
    let megabytes = std::env::var("XTASK_BENCH_MEGABYTES").ok().and_then(|text| text.parse().ok());
    let megabytes: u64 = megabytes.unwrap_or(300);
    let site = Site::new("bench-logs", &[FULL[1]]);
    site.xtask(&[&["setup", "dev"], Site::images()].concat());
    let writer = log(&site, megabytes);
    println!("of {megabytes} MB a day");
    println!(
        "{:<34} {:>9} {:>7}   {:<52} {:>9}   {:>5}",
        "xtask", "time", "memory", "instead", "time", "ratio"
    );
    archive(&site, &writer);
    search(&site);
}

/// A container that has logged so much, of lines such as servers write.
fn log(site: &Site, megabytes: u64) -> String {
    let name = format!("{}-writer", site.project());
    let label = format!("com.docker.compose.project={}", site.project());
    let image =
        if Site::is_offline() { "case-interview-offline/redis:6.2" } else { "redis:6-alpine" };
    // 100 bytes a line with the engine's own.
    let lines = megabytes * 10_000;
    let script = format!(
        "seq 1 {lines} | awk '{{ printf \"%07d GET /api/v1/cases/%d/interviews status=%d duration=%dms\\n\", $1, $1 * 7919 % 10007, 200 + $1 % 5, $1 * 31 % 997 }}'"
    );
    let run = [
        "run",
        "--detach",
        "--name",
        &name,
        "--label",
        &label,
        "--label",
        "com.docker.compose.service=writer",
    ];
    let options = [
        "--log-opt",
        "max-size=10g",
        "--log-opt",
        "max-file=1",
        "--entrypoint",
        "sh",
        image,
        "-c",
        &script,
    ];
    let status = Command::new("docker").args(run).args(options).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    assert!(
        Command::new("docker")
            .args(["wait", &name])
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    name
}

fn archive(site: &Site, writer: &str) {
    let target = site.root().join("docker-logs.zst");
    let theirs =
        format!("docker logs --timestamps {writer} 2>&1 | zstd -q -f -o '{}'", target.display());
    let instead = shell(&theirs);
    let ours = time(&mut site.command(&["rotate-logs", "dev"]));
    show("rotate-logs, everything", ours, "docker logs --timestamps | zstd", instead);
    let since = shell(&format!("docker logs --timestamps --since 1s {writer} 2>&1 | cat"));
    let again = time(&mut site.command(&["rotate-logs", "dev"]));
    show("rotate-logs, nothing new", again, "docker logs --since 1s", since);
}

/// Thirty days, of which one is searched.
fn search(site: &Site) {
    let folder = site.data().join("logs/development/writer");
    let today = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let archive =
        today.into_iter().find(|path| path.extension().is_some_and(|end| end == "zst")).unwrap();
    spread(&archive, &folder);
    let theirs = format!("zstdcat '{}'/*.log.zst | grep 'cases/4242/' | wc -l", folder.display());
    let instead = shell(&theirs);
    let today = archive.file_name().unwrap().to_str().unwrap()[..10].to_owned();
    let ours = time(&mut site.command(&[
        "logs",
        "dev",
        "writer",
        "--since",
        &today,
        "--grep",
        "cases/4242/",
    ]));
    show("logs --since (one day) --grep", ours, "zstdcat (30 days) | grep", instead);
    let all = time(&mut site.command(&["logs", "dev", "writer", "--grep", "cases/4242/"]));
    show("logs --grep", all, "zstdcat (30 days) | grep", instead);
}

/// Copies today's archive to the days before, with stamps of theirs, as their archives would be.
fn spread(archive: &Path, folder: &Path) {
    let file = fs::File::open(archive).unwrap();
    let length = file.metadata().unwrap().len();
    let today: jiff::civil::Date =
        archive.file_name().unwrap().to_str().unwrap()[..10].parse().unwrap();
    let (places, _) = xtask::logs::stored::frames(&file, length);
    for days in 1..30 {
        let day = today.checked_sub(jiff::ToSpan::days(days)).unwrap().to_string();
        let mut bytes = Vec::new();
        for place in &places {
            let lines = xtask::logs::frame::unpack(&file, place).unwrap();
            let text = String::from_utf8(lines).unwrap().replace(&today.to_string(), &day);
            let mut head = place.head.clone();
            for stamp in [&mut head.from, &mut head.to] {
                *stamp = stamp.replace(&today.to_string(), &day);
            }
            bytes.extend(xtask::logs::frame::pack(head, text.as_bytes()).unwrap());
        }
        fs::write(folder.join(format!("{day}.log.zst")), bytes).unwrap();
    }
}

fn shell(line: &str) -> f64 {
    time(Command::new("sh").args(["-c", line])).0
}

/// Seconds, and the most memory that the program itself took, in MB.
fn time(command: &mut Command) -> (f64, u64) {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let facts = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let status = loop {
        // Its peak so far (proc(5)), which is gone with it.
        let text = fs::read_to_string(&facts).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        memory = memory.max(kilobytes.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{command:?}");
    (start.elapsed().as_secs_f64(), memory >> 10)
}

fn show(label: &str, (ours, memory): (f64, u64), instead: &str, theirs: f64) {
    println!(
        "{label:<34} {ours:>7.2} s {memory:>4} MB   {instead:<52} {theirs:>7.2} s   {:>5.2}",
        ours / theirs
    );
}
