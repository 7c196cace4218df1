//! Commands of xtask beside what a user would type instead, in turn, on the same stack.
//! `cargo bench` prints medians and their ratio.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::Site;
use tests::composes::FULL;

const ROUNDS: usize = 5;

fn main() {
    let site = Site::new("bench", &[FULL[1]]);
    site.up();
    println!(
        "{:<34} {:>9}   {:<46} {:>9}   {:>5}",
        "xtask", "median", "instead", "median", "ratio"
    );
    let down = || {
        site.xtask(&["down", "dev"]).succeeds();
        // Compose alone does not make the network that `down` has removed.
        site.xtask(&["setup", "dev"]).succeeds();
    };
    let nothing = || {};
    let up = ["up", "dev", "--quiet"];
    let files =
        ["docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.overlay.yml"];
    let up_wait = [&files[..], &["up", "--detach", "--wait"]].concat();
    compare(&site, "up, from down", &down, &up, &up_wait);
    compare(&site, "up, a second time", &nothing, &up, &up_wait);
    let doctor = ["doctor", "dev", "--quiet"];
    // What it takes longest to ask, while a stack runs and while none does.
    let redis = site.development().container("redis");
    let exec = ["docker", "exec", &redis, "true"];
    compare(&site, "doctor, the plugin alone", &nothing, &doctor, &exec);
    down();
    let info = ["docker", "info"];
    compare(&site, "doctor, the plugin alone, down", &nothing, &doctor, &info);
    site.up();
    compare(&site, "status", &nothing, &["status", "dev"], &["docker", "compose", "ps"]);
    // docker-compose 1.x takes longer to say its version than any call of docker.
    site.choose(&FULL);
    let version = ["docker-compose", "version", "--short"];
    compare(&site, "doctor, both Composes", &nothing, &doctor, &version);
}

fn compare(site: &Site, label: &str, prepare: &dyn Fn(), ours: &[&str], theirs: &[&str]) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        prepare();
        times[0].push(time(&mut site.command(ours)));
        prepare();
        let mut other = Command::new(theirs[0]);
        site.environment(&mut other);
        times[1].push(time(other.args(&theirs[1..]).current_dir(site.folder())));
    }
    let [ours, other] = times.map(|times| median(times).as_secs_f64());
    let (instead, ratio) = (shown(theirs), ours / other);
    println!("{label:<34} {ours:>7.2} s   {instead:<46} {other:>7.2} s   {ratio:>5.2}");
}

/// Without a container's id and the names of files, which nobody wants to read.
fn shown(words: &[&str]) -> String {
    let words = words.iter().map(|word| if word.len() == 64 { "CONTAINER" } else { word });
    words
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" -f docker-compose.yml -f docker-compose.overlay.yml", "")
}

fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
