//! An instance of the platform's API as far as Prometheus sees it: the example of
//! docs/api-metrics.md, with counters that grow.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use tests::root;

/// Serves until the test program ends, on every address, so that containers reach it. Returns its
/// port.
pub(super) fn serve() -> u16 {
    let example = example();
    let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let started = Instant::now();
        for stream in listener.incoming() {
            let body = after(&example, started.elapsed().as_secs_f64());
            let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n";
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    port
}

/// The block of `text` under the heading Example.
fn example() -> String {
    let page = fs::read_to_string(root().join("docs/api-metrics.md")).unwrap();
    let block = page.split("## Example").nth(1).and_then(|rest| rest.split("```text\n").nth(1));
    block.expect("an example").split("```").next().unwrap().to_owned()
}

/// The example after that many seconds, in each of which it grew by itself.
fn after(example: &str, seconds: f64) -> String {
    let grown = |line: &str| match line.rsplit_once(' ') {
        Some((series, value)) if !line.starts_with('#') => {
            let value: f64 = value.parse().unwrap();
            format!("{series} {}\n", value * (1.0 + seconds))
        }
        _ => format!("{line}\n"),
    };
    example.lines().map(grown).collect()
}
