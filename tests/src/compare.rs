//! Commands of xtask beside what a user would type instead, as benchmarks print them.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;

/// A table of comparisons over the same data.
#[derive(Debug)]
pub struct Comparison {
    megabytes: f64,
}

impl Comparison {
    /// Over so much data, for the rates. Prints the table's head.
    pub fn of(megabytes: f64) -> Self {
        println!(
            "{:<18} {:>8} {:>6}  {:<44} {:>8} {:>6} {:>6}  at most",
            "xtask", "median", "MB/s", "instead", "median", "MB/s", "ratio"
        );
        Self { megabytes }
    }

    /// Both in turn, so that neither has the quieter machine. Prints a line with medians, and with
    /// what their ratio may be at most. What `ours` does before it returns its command is not timed.
    pub fn beside(
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

/// Runs a script whose every part must succeed.
pub fn shell(script: &str) {
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

/// The most memory that the program itself had (proc(5)), in kilobytes.
pub fn peak(mut command: Command) -> u64 {
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
