//! Every line that a container writes is archived once, or the gap is named.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use tests::{Random, Site, is_long, seed};

use crate::logs::{archived, docker, run, run_image, site, text, until_last, wait};

/// What an archive of a writer of 1, 2, 3, … holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    lines: u64,
    gaps: u64,
    missing: u64,
    /// Numbers that come twice, or are missing without a named gap.
    wrong: Vec<u64>,
}

fn count(lines: &[String]) -> Count {
    let mut count = Count::default();
    let mut expected = 1;
    let mut is_after_gap = false;
    for line in lines {
        if line.contains(" gap F ") {
            count.gaps += 1;
            is_after_gap = true;
            continue;
        }
        let number: u64 = text(line).trim_start_matches('0').parse().unwrap();
        count.lines += 1;
        if number > expected && is_after_gap {
            count.missing += number - expected;
        } else if number != expected {
            count.wrong.push(number);
        }
        is_after_gap = false;
        expected = number + 1;
    }
    count
}

/// Runs `rotate-logs` again and again while the writer writes, most of the time killed.
fn rotate_while_writing(site: &Site, name: &str, kill: bool, random: &mut Random) -> u64 {
    let mut kills = 0;
    let is_running = || docker(&["inspect", "--format", "{{.State.Running}}", name]) == "true";
    while is_running() {
        let mut rotate = site.command(&["rotate-logs", "dev"]);
        let mut rotate = rotate.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if !kill || random.below(3) == 0 {
            rotate.wait().unwrap();
            continue;
        }
        std::thread::sleep(Duration::from_millis(random.below(800)));
        if rotate.try_wait().unwrap().is_none() {
            rotate.kill().unwrap();
            kills += 1;
        }
        rotate.wait().unwrap();
    }
    kills
}

/// What the writer tries to write in a second.
const RATE: u64 = 50_000;

/// Writes so many numbered lines, padded as long as lines of logs are, at [`RATE`] or as fast as
/// the engine takes them.
fn numbers(lines: u64) -> String {
    format!(
        "exec perl -MTime::HiRes=time,sleep -e '
            my ($start, $written) = (time, 0);
            while ($written < {lines}) {{
                my $due = (time - $start) * {RATE};
                printf(\"%047d\\n\", ++$written) while $written < $due && $written < {lines};
                $| = 1; $| = 0; sleep 0.005;
            }}'"
    )
}

/// How long a container that has stopped ran, in seconds.
fn lifetime(name: &str) -> f64 {
    let format = "{{.State.StartedAt}} {{.State.FinishedAt}}";
    let text = docker(&["inspect", "--format", format, name]);
    let times: Vec<jiff::Timestamp> = text.split(' ').map(|time| time.parse().unwrap()).collect();
    times[1].duration_since(times[0]).as_secs_f64()
}

fn every_line_is_archived_once(name: &str, options: &[&str], kill: bool) {
    let site = site(name);
    let mut random = Random(seed());
    let lines = RATE * if is_long() { 300 } else { 8 };
    let image = Site::offline_or("postgres", "15", "supabase/postgres:14.1.0");
    let writer = run_image(&site, "writer", options, &image, &numbers(lines));
    let kills = rotate_while_writing(&site, &writer, kill, &mut random);
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    let count = count(&archived(&site, "writer"));
    // Past the capture of a test that passes.
    let _ = writeln!(
        std::io::stdout(),
        "{name}: {} lines archived, written at {:.0} a second of {RATE} that were tried; {kills} runs killed, {} gaps with {} lines, {} wrong",
        count.lines,
        lines as f64 / lifetime(&writer),
        count.gaps,
        count.missing,
        count.wrong.len()
    );
    assert_eq!(count.wrong, [0; 0]);
    assert_eq!(count.lines + count.missing, lines);
    assert!(count.lines > 0);
    let again = site.xtask(&["rotate-logs", "dev", "--json"]).succeeds().json();
    assert_eq!(again["services"][0]["entries"], 0, "{again}");
}

#[test]
fn every_line_is_archived_once_while_runs_are_killed_and_the_engine_rotates() {
    let options = ["--log-opt", "max-size=5m", "--log-opt", "max-file=8"];
    every_line_is_archived_once("logs-json", &options, true);
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn every_line_is_archived_once_with_the_local_driver() {
    let options = ["--log-driver", "local", "--log-opt", "max-size=2m", "--log-opt", "max-file=8"];
    // Nobody is killed: while the engine still reads for who is gone, version 20.10 may give another
    // reader packed parts of the wrong place.
    every_line_is_archived_once("logs-local", &options, false);
}

#[test]
fn a_gap_is_named_in_the_archive_and_reported() {
    let site = site("logs-gap");
    let options = ["--log-opt", "max-size=100k", "--log-opt", "max-file=2"];
    // The second part discards the whole first one.
    let script =
        "seq 1 500; touch /tmp/half; while [ -f /tmp/half ]; do sleep 0.1; done; seq 501 9000";
    let writer = run(&site, "writer", &options, script);
    until_last(&writer, "500");
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    docker(&["exec", &writer, "rm", "/tmp/half"]);
    wait(&writer);
    let run = site.xtask(&["rotate-logs", "dev", "--json"]).succeeds().says("may be missing");
    assert_eq!(run.json()["services"][0]["gaps"].as_array().unwrap().len(), 1);
    let lines = archived(&site, "writer");
    let count = count(&lines);
    assert_eq!((count.gaps, count.wrong.len()), (1, 0), "{count:?}");
    assert!(count.missing > 0 && count.lines + count.missing == 9000, "{count:?}");
    let shown = site.xtask(&["logs", "dev"]).succeeds().stdout;
    assert!(shown.contains("gap: ") && shown.contains("may be missing"));
}
