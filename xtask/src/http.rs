//! HTTP/1.1 (RFC 9112) over any stream: for the engine's socket and for the servers of the stacks.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::process::read_within;

/// Longest head of an answer, and longest line between two chunks, in bytes.
const LONGEST_HEAD: u64 = 64 << 10;
/// Longest body that is taken whole, in bytes.
const LONGEST_BODY: u64 = 256 << 20;
/// Most headers of an answer.
const MOST_HEADERS: usize = 64;

/// A request. Printing it shows its first line alone, since headers may hold passwords.
#[derive(Clone)]
pub struct Request {
    head: String,
    body: String,
}

impl Request {
    /// For what `host` has at `path`, whose values are encoded already.
    pub fn get(host: &str, path: &str) -> Self {
        Self { head: head("GET", host, path), body: String::new() }
    }

    /// That gives `host` the JSON document `body` at `path`, whose values are encoded already.
    pub fn post(host: &str, path: &str, body: impl Into<String>) -> Self {
        let body = body.into();
        Self { head: head("POST", host, path), body }
            .header("Content-Type", "application/json")
            .with_length()
    }

    /// That asks `host` to remove what is at `path`, which is encoded already.
    pub fn delete(host: &str, path: &str) -> Self {
        Self { head: head("DELETE", host, path), body: String::new() }
    }

    fn with_length(self) -> Self {
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// Adds a header. Control characters in its value become spaces.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = value.replace(char::is_control, " ");
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

fn head(method: &'static str, host: &str, path: &str) -> String {
    format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", visible(path), visible(host))
}

/// `text` with everything percent-encoded that would end it in the first lines of a request, so
/// that no value adds a header or a request of its own.
fn visible(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.head.lines().next().unwrap_or_default())
    }
}

/// A connection, and the answer to what was asked last, read as it comes. The end of an answer is
/// told from a connection that broke off, which is [`ErrorKind::UnexpectedEof`]; what is not HTTP
/// is [`ErrorKind::InvalidData`].
#[derive(Debug)]
pub struct Exchange<S> {
    source: BufReader<S>,
    left: Left,
}

/// How much of the answer is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// This much of a chunk, after which there are others.
    Chunk(u64),
    /// This much.
    Bytes(u64),
    UntilClose,
    Nothing,
}

impl<S: Read + Write> Exchange<S> {
    /// Over `stream`, of which `buffer` bytes are taken at once.
    pub fn new(stream: S, buffer: usize) -> Self {
        Self { source: BufReader::with_capacity(buffer, stream), left: Left::Nothing }
    }

    /// The stream.
    pub fn stream(&mut self) -> &mut S {
        self.source.get_mut()
    }

    /// Sends `request`, once the last answer was read to its end. Returns the status; what is read
    /// then is the body.
    ///
    /// # Errors
    /// When nobody takes it, or no whole head comes.
    pub fn send(&mut self, request: &Request) -> io::Result<u16> {
        let Request { head, body } = request;
        self.stream().write_all(format!("{head}\r\n{body}").as_bytes())?;
        loop {
            match self.head()? {
                // Interim answers (RFC 9110, 15.2).
                100..=199 => {}
                status => return Ok(status),
            }
        }
    }

    /// The rest of the answer.
    ///
    /// # Errors
    /// When it is cut off, or does not fit into memory.
    pub fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.take(LONGEST_BODY).read_to_end(&mut body)?;
        if body.len() as u64 == LONGEST_BODY {
            return Err(malformed("its body has no end"));
        }
        Ok(body)
    }

    /// Reads status line and headers; returns the status.
    fn head(&mut self) -> io::Result<u16> {
        let mut head = Vec::new();
        while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
            self.line(&mut head)?;
        }
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        answer.parse(&head).map_err(|error| malformed(error.to_string()))?;
        let status = answer.code.ok_or_else(|| malformed("it has no status"))?;
        self.left = framing(status, answer.headers)?;
        Ok(status)
    }

    /// Adds the next line to `text`, which must not grow beyond [`LONGEST_HEAD`].
    fn line(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let room = LONGEST_HEAD.saturating_sub(text.len() as u64);
        let read = (&mut self.source).take(room).read_until(b'\n', text)?;
        match text.last() {
            _ if room == 0 => Err(malformed("its head has no end")),
            Some(b'\n') if read > 0 => Ok(()),
            _ if read as u64 == room => Err(malformed("its head has no end")),
            _ => Err(cut_off()),
        }
    }

    /// Begins the next chunk; the last has no length, and trailers after it.
    fn next_chunk(&mut self) -> io::Result<()> {
        let mut line = Vec::new();
        self.line(&mut line)?;
        let size = match httparse::parse_chunk_size(&line) {
            Ok(httparse::Status::Complete((_, size))) => size,
            _ => return Err(malformed("a chunk has no size")),
        };
        self.left = Left::Chunk(size);
        if size == 0 {
            let mut trailers = Vec::new();
            while trailers != b"\r\n" && trailers != b"\n" {
                trailers.clear();
                self.line(&mut trailers)?;
            }
            self.left = Left::Nothing;
        }
        Ok(())
    }
}

impl<S: Read + Write> Read for Exchange<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == Left::Chunk(0) {
            self.next_chunk()?;
        }
        let most = match self.left {
            Left::Chunk(left) | Left::Bytes(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Left::UntilClose => usize::MAX,
            Left::Nothing => 0,
        };
        let most = most.min(buffer.len());
        if most == 0 {
            // Asking for nothing would wait for the next answer.
            return Ok(0);
        }
        let read = self.source.read(&mut buffer[..most])?;
        if read == 0 && self.left != Left::UntilClose {
            return Err(cut_off());
        }
        match &mut self.left {
            Left::Chunk(left) | Left::Bytes(left) => *left -= read as u64,
            Left::UntilClose | Left::Nothing => {}
        }
        if self.left == Left::Chunk(0) {
            // The line break after a chunk's bytes.
            self.line(&mut Vec::new())?;
        }
        Ok(read)
    }
}

/// How long the body is (RFC 9112, 6.3).
fn framing(status: u16, headers: &[httparse::Header<'_>]) -> io::Result<Left> {
    let named = |name: &'static str| {
        let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| String::from_utf8_lossy(header.value).trim().to_ascii_lowercase())
    };
    if matches!(status, 100..=199 | 204 | 304) {
        return Ok(Left::Nothing);
    }
    if let Some(coding) = named("transfer-encoding").next_back() {
        return match coding.as_str() {
            "chunked" => Ok(Left::Chunk(0)),
            other => Err(malformed(format!("its transfer coding is `{other}`"))),
        };
    }
    let mut lengths = named("content-length");
    let Some(length) = lengths.next() else { return Ok(Left::UntilClose) };
    if lengths.any(|other| other != length) {
        return Err(malformed("it has two lengths"));
    }
    length.parse().map(Left::Bytes).map_err(|_| malformed(format!("its length is `{length}`")))
}

fn malformed(why: impl fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the answer is not HTTP: {why}"))
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the answer is cut off")
}

/// How long a read may wait.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// As long as it takes.
    Endless,
    /// So long without a byte.
    Silence(Duration),
    /// Until then, however much comes.
    Until(Instant),
}

impl Patience {
    /// That ends in `time`, however much comes.
    pub fn within(time: Duration) -> Self {
        Self::Until(Instant::now() + time)
    }

    /// How long the next read may wait; `None` for ever.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when it is over.
    pub fn left(self) -> io::Result<Option<Duration>> {
        match self {
            Self::Endless => Ok(None),
            Self::Silence(time) => Ok(Some(time)),
            Self::Until(end) => match end.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => Ok(Some(left)),
                _ => Err(too_late()),
            },
        }
    }
}

/// A stream whose reads end when patience does, and when the user interrupts.
#[derive(Debug)]
pub struct Timed<S> {
    stream: S,
    patience: Patience,
}

impl<S> Timed<S> {
    /// `stream`, read with this patience.
    pub fn new(stream: S, patience: Patience) -> Self {
        Self { stream, patience }
    }

    /// Has the reads from now on end with `patience`.
    pub fn wait(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// The stream.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: Read + AsFd> Read for Timed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.patience.left()?;
        read_within(&mut self.stream, buffer, left)?.ok_or_else(too_late)
    }
}

impl<S: Write> Write for Timed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn too_late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no answer in time")
}

#[cfg(test)]
mod tests;
