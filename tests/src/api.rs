//! A double of the platform's API: no more than its metrics, with a behaviour that a test sets.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Upper boundaries of the histogram, in seconds.
const BOUNDARIES: [f64; 6] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.5];

/// How the API behaves from now on.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// Requests a second; parts count.
    pub traffic: f64,
    /// Seconds that each request takes.
    pub latency: f64,
    /// The share of requests that end with status 500, from 0 to 1.
    pub errors: f64,
}

#[derive(Debug)]
struct Counters {
    behaviour: Behaviour,
    since: Instant,
    succeeded: f64,
    failed: f64,
    /// Requests by the first boundary that they fit under; the last is for those above all.
    took: [f64; BOUNDARIES.len() + 1],
    seconds: f64,
}

impl Counters {
    /// Counts what the behaviour has brought since the last call.
    fn advance(&mut self) {
        let requests = self.since.elapsed().as_secs_f64() * self.behaviour.traffic;
        self.since = Instant::now();
        let failed = requests * self.behaviour.errors;
        self.failed += failed;
        self.succeeded += requests - failed;
        let fits = |boundary: &f64| self.behaviour.latency <= *boundary;
        self.took[BOUNDARIES.iter().position(fits).unwrap_or(BOUNDARIES.len())] += requests;
        self.seconds += requests * self.behaviour.latency;
    }

    fn exposition(&self) -> String {
        let labels = r#"method="GET",route="/cases""#;
        let name = "http_request_duration_seconds";
        let mut text = format!(
            "# TYPE http_requests_total counter\n\
             http_requests_total{{{labels},status=\"200\"}} {}\n\
             http_requests_total{{{labels},status=\"500\"}} {}\n\
             # TYPE {name} histogram\n",
            self.succeeded, self.failed
        );
        let mut sum = 0.0;
        let boundaries = BOUNDARIES.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (boundary, took) in boundaries.zip(self.took) {
            sum += took;
            text += &format!("{name}_bucket{{{labels},le=\"{boundary}\"}} {sum}\n");
        }
        text + &format!("{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {sum}\n", self.seconds)
    }
}

/// The API, until it is dropped.
#[derive(Debug)]
pub struct SyntheticApi {
    address: SocketAddr,
    counters: Arc<Mutex<Counters>>,
    stopped: Arc<AtomicBool>,
}

impl SyntheticApi {
    /// Starts it where containers reach it and nobody on another machine does: at what a compose
    /// file calls `host-gateway`. Any image that has `cat` will do to ask for that.
    pub fn start(image: &str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind((host_gateway(image), 0)).expect("a port");
        let api = Self {
            address: listener.local_addr().expect("an address"),
            counters: Arc::new(Mutex::new(Counters {
                behaviour,
                since: Instant::now(),
                succeeded: 0.0,
                failed: 0.0,
                took: [0.0; BOUNDARIES.len() + 1],
                seconds: 0.0,
            })),
            stopped: Arc::default(),
        };
        let (counters, stopped) = (Arc::clone(&api.counters), Arc::clone(&api.stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                // A scrape that was given up is no matter.
                let _ = stream.and_then(|stream| answer(stream, &counters));
            }
        });
        api
    }

    /// The address and port for a target file.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it behaves.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.advance();
        counters.behaviour = behaviour;
    }
}

impl Drop for SyntheticApi {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread, which then lets go of the port.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(mut stream: TcpStream, counters: &Mutex<Counters>) -> std::io::Result<()> {
    let request = BufReader::new(stream.try_clone()?).lines();
    for line in request {
        if line?.is_empty() {
            break;
        }
    }
    let body = {
        let mut counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.advance();
        counters.exposition()
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// This machine's address as Docker gives it to containers.
fn host_gateway(image: &str) -> IpAddr {
    static GATEWAY: OnceLock<IpAddr> = OnceLock::new();
    *GATEWAY.get_or_init(|| {
        let output = Command::new("docker")
            .args(["run", "--rm", "--add-host", "here:host-gateway", "--entrypoint", "cat", image])
            .arg("/etc/hosts")
            .output()
            .expect("docker runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let here = text.lines().find_map(|line| line.strip_suffix("here")?.trim().parse().ok());
        here.expect("an engine from 20.10 on names the host")
    })
}
