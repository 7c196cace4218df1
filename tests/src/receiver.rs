//! A server in the test that containers can send requests to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::docker;

/// Longest wait for a request; a busy machine takes its time.
const WAIT: Duration = Duration::from_secs(120);

/// Keeps every request. It answers a path that begins with `/refuse` with status 500, others with
/// 202, as PagerDuty does, and with the word that Slack answers.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its path.
    pub path: String,
    /// Its head, as it came.
    pub head: String,
    /// Its body.
    pub body: Value,
}

impl Receiver {
    /// Listens on every address, since containers come from their bridge's. It ends with the test.
    pub fn start() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    if let Some(request) = answer(stream) {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                    }
                });
            }
        });
        Self { port, requests }
    }

    /// Under what containers on `network` reach it.
    pub fn url(&self, network: &str, path: &str) -> String {
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        let gateway = docker(&["network", "inspect", "--format", format, network]);
        format!("http://{gateway}:{}{path}", self.port)
    }

    /// The requests to `path` so far.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|request| request.path == path).cloned().collect()
    }

    /// Waits for a request to `path` whose body contains all of `words`.
    #[track_caller]
    pub fn wait_for(&self, path: &str, words: &[&str]) -> Request {
        let deadline = Instant::now() + WAIT;
        loop {
            let requests = self.requests(path);
            let fits = |request: &&Request| {
                let body = request.body.to_string();
                words.iter().all(|word| body.contains(word))
            };
            if let Some(found) = requests.iter().find(fits) {
                return found.clone();
            }
            assert!(
                Instant::now() < deadline,
                "no request with {words:?} to {path}: {requests:#?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Reads one request and answers it; `None` when the other side hung up.
fn answer(stream: TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(WAIT)).ok()?;
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    lines.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let status = if path.starts_with("/refuse") { "500 Refused" } else { "202 Accepted" };
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    lines.into_inner().write_all(reply.as_bytes()).ok()?;
    Some(Request { path, head, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
