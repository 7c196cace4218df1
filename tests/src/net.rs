//! Clients over the network: real ones from the images, and plain sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;

/// Runs `script` with `URL` set, in a container of `image` on the host's network, as a program on
/// the host would connect. Panics with what it said when it fails.
pub fn client(image: &str, url: &str, script: &str) -> String {
    let output = Command::new("docker")
        .args([
            "run",
            "--rm",
            "--network",
            "host",
            "--env",
            "URL",
            "--entrypoint",
            "sh",
            image,
            "-ec",
            script,
        ])
        .env("URL", url)
        .output()
        .expect("docker runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "`{script}`: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Sends a mail from a@example.org to b@example.org with this subject.
pub fn send_mail(port: u16, subject: &str) {
    let stream = connect(port);
    let mut lines = BufReader::new(stream);
    let expect = |lines: &mut BufReader<TcpStream>, code: &str| loop {
        let mut line = String::new();
        lines.read_line(&mut line).expect("an SMTP answer");
        assert!(line.starts_with(code), "wanted {code}, got `{line}`");
        if !line.starts_with(&format!("{code}-")) {
            break;
        }
    };
    expect(&mut lines, "220");
    let message = format!("Subject: {subject}\r\n\r\nHello\r\n.\r\n");
    for (request, code) in [
        ("EHLO test\r\n", "250"),
        ("MAIL FROM:<a@example.org>\r\n", "250"),
        ("RCPT TO:<b@example.org>\r\n", "250"),
        ("DATA\r\n", "354"),
        (message.as_str(), "250"),
        ("QUIT\r\n", "221"),
    ] {
        lines.get_mut().write_all(request.as_bytes()).expect("an SMTP request");
        expect(&mut lines, code);
    }
}

/// Status, head and body of what answers on this machine; nothing while nothing does.
pub fn http(
    port: u16,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, head.to_owned(), body.to_owned()))
}

/// The body of a GET on this machine.
pub fn get(port: u16, path: &str) -> String {
    let (status, body) = ask("GET", port, path, None);
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// The same, for what may fail: the error has what the server said.
///
/// # Errors
/// When nobody answers, or with another status than 200.
pub fn try_get(port: u16, path: &str) -> Result<String, String> {
    match http(port, "GET", path, &[], "") {
        Some((200, _, body)) => Ok(body),
        Some((_, head, body)) => Err(format!("{head}\n{body}")),
        None => Err(format!("nobody answers on port {port}")),
    }
}

/// The status and body of a request on this machine, logged in as `admin` with a password.
pub fn ask(method: &str, port: u16, path: &str, password: Option<&str>) -> (u16, String) {
    send(method, port, path, password, "")
}

/// As [`ask`], with a body of JSON.
pub fn send(
    method: &str,
    port: u16,
    path: &str,
    password: Option<&str>,
    body: &str,
) -> (u16, String) {
    let login = password.map(|password| {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("admin:{password}"));
        format!("Authorization: Basic {login}")
    });
    let headers: Vec<_> = login.iter().map(String::as_str).collect();
    let (status, _, body) = http(port, method, path, &headers, body).expect("an answer");
    (status, body)
}

/// Waits for what servers do in their own time.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !holds() {
        assert!(Instant::now() < deadline, "not within three minutes: {what}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
    stream
}
