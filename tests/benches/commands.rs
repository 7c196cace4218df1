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
    };
    let nothing = || {};
    let info = ["info", "--format", "{{json .}}"];
    let up = ["up", "dev", "--quiet"];
    let up_wait = ["compose", "up", "--detach", "--wait"];
    for (label, prepare, ours, theirs) in [
        ("up, from down", &down as &dyn Fn(), &up[..], &up_wait[..]),
        ("up, a second time", &nothing, &up, &up_wait),
        ("doctor", &nothing, &["doctor", "dev", "--quiet"], &info),
        ("status", &nothing, &["status", "dev"], &["compose", "ps"]),
    ] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            prepare();
            times[0].push(time(&mut site.command(ours)));
            prepare();
            let mut docker = Command::new("docker");
            site.environment(&mut docker);
            times[1].push(time(docker.args(theirs).current_dir(site.folder())));
        }
        let [ours_median, theirs_median] = times.map(median);
        let ratio = ours_median.as_secs_f64() / theirs_median.as_secs_f64();
        let instead = format!("docker {}", theirs.join(" "));
        println!(
            "{label:<34} {:>7.2} s   {instead:<46} {:>7.2} s   {ratio:>5.2}",
            ours_median.as_secs_f64(),
            theirs_median.as_secs_f64()
        );
    }
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
