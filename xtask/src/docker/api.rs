//! Questions to the engine over its own interface (docs.docker.com/reference/api/engine), which
//! answers in a tenth of the time that a `docker` program takes to start.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ANSWER;
use super::connection::Connection;
use super::endpoint::silent;
use crate::http::{Exchange, Patience, Request};
use crate::process::check_interrupted;

/// The host that requests name; the engine does not care.
const HOST: &str = "docker";
/// Bytes that are taken at once of a short answer.
const BUFFER: usize = 16 << 10;

/// A connection to the engine, and the answer to what was asked last, read as it comes.
#[derive(Debug)]
pub(super) struct Answers {
    exchange: Exchange<Connection>,
    /// Longest that one question may take.
    limit: Option<Duration>,
}

impl Answers {
    /// Connects, for an answer that is read with `patience`; `buffer` bytes are taken at once.
    ///
    /// # Errors
    /// A prerequisite problem when no engine is there.
    pub(super) fn open(patience: Patience, buffer: usize) -> Result<Self> {
        let exchange = Exchange::new(Connection::open(patience)?, buffer);
        Ok(Self { exchange, limit: None })
    }

    /// Connects, for questions that are each answered at once.
    ///
    /// # Errors
    /// As [`Answers::open`].
    pub(super) fn brief() -> Result<Self> {
        let answers = Self::open(Patience::within(ANSWER), BUFFER)?;
        Ok(Self { limit: Some(ANSWER), ..answers })
    }

    /// As [`Answers::brief`], to the engine at this socket of the machine.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(super) fn brief_at(socket: &Path) -> Result<Self> {
        let patience = Patience::within(ANSWER);
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        let exchange = Exchange::new(Connection::over(stream, patience), BUFFER);
        Ok(Self { exchange, limit: Some(ANSWER) })
    }

    /// Asks for `path`, which is encoded already, once the last answer was read to its end.
    /// Returns the status; what is read then is the body.
    ///
    /// # Errors
    /// When the engine does not answer, or the user interrupts.
    pub(super) fn ask(&mut self, path: &str) -> Result<u16> {
        self.send(&Request::get(HOST, path))
    }

    /// Gives `path` a document, and is otherwise as [`Answers::ask`].
    ///
    /// # Errors
    /// As [`Answers::ask`].
    pub(super) fn give(&mut self, path: &str, document: &serde_json::Value) -> Result<u16> {
        self.send(&Request::post(HOST, path, document.to_string()))
    }

    fn send(&mut self, request: &Request) -> Result<u16> {
        if let Some(limit) = self.limit {
            self.exchange.stream().wait(Patience::within(limit));
        }
        let status = self.exchange.send(request);
        status.map_err(|error| self.why(error.into()).context("asking the engine"))
    }

    /// What is at `path`; `None` where the engine says that there is no such thing.
    ///
    /// # Errors
    /// As [`Answers::ask`], and when the engine refuses or its answer cannot be read.
    pub(super) fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>> {
        let status = self.ask(path)?;
        self.document(path, status)
    }

    /// The body of an answer with this status.
    ///
    /// # Errors
    /// As [`Answers::get`].
    pub(super) fn document<T: DeserializeOwned>(
        &mut self,
        path: &str,
        status: u16,
    ) -> Result<Option<T>> {
        let text = self.body()?;
        match status {
            200 | 201 => {
                let answer = serde_json::from_slice(&text);
                answer.map(Some).with_context(|| format!("reading what the engine says of {path}"))
            }
            404 => Ok(None),
            _ => bail!("the engine refuses {path}: {} (status {status})", message(&text[..])),
        }
    }

    /// The rest of the answer.
    ///
    /// # Errors
    /// When it is cut off, or the user interrupts.
    pub(super) fn body(&mut self) -> Result<Vec<u8>> {
        self.exchange.body().map_err(|error| self.why(error.into()).context("asking the engine"))
    }

    /// The interruption, the client's own words or the engine's silence, where they caused `error`.
    pub(super) fn why(&mut self, error: anyhow::Error) -> anyhow::Error {
        let cause = check_interrupted().err().or_else(|| self.exchange.stream().failure());
        let is_late = |error: &io::Error| error.kind() == ErrorKind::TimedOut;
        match cause {
            Some(cause) => cause,
            None if error.downcast_ref().is_some_and(is_late) => silent().into(),
            None => error,
        }
    }
}

impl Read for Answers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.exchange.read(buffer)
    }
}

/// What the engine says in the body of a refusal.
pub(super) fn message(body: impl Read) -> String {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let mut text = String::new();
    let _ = body.take(1 << 16).read_to_string(&mut text);
    serde_json::from_str(&text).map_or(text, |Said { message }| message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::report::finding::Problem;

    #[test]
    fn a_document_is_told_from_its_absence_and_from_a_refusal() {
        let (ours, mut engine) = UnixStream::pair().unwrap();
        for (status, body) in
            [("200 OK", "[1]"), ("404 Not Found", "{}"), ("500 Oh", r#"{"message":"why"}"#)]
        {
            let length = body.len();
            write!(engine, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        }
        let connection = Connection::over(ours, Patience::within(ANSWER));
        let mut answers = Answers { exchange: Exchange::new(connection, 16), limit: None };
        assert_eq!(answers.get::<Vec<u8>>("/a").unwrap(), Some(vec![1]));
        assert_eq!(answers.get::<Vec<u8>>("/b").unwrap(), None);
        let error = answers.get::<Vec<u8>>("/c").unwrap_err().to_string();
        assert_eq!(error, "the engine refuses /c: why (status 500)");
    }
    #[test]
    fn an_answer_that_stops_at_any_byte_is_an_error() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]";
        for (cut, is_closed) in (0..whole.len()).flat_map(|cut| [(cut, false), (cut, true)]) {
            let (ours, mut engine) = UnixStream::pair().unwrap();
            engine.write_all(&whole[..cut]).unwrap();
            let patience = Patience::within(Duration::from_millis(5));
            if is_closed {
                engine.shutdown(std::net::Shutdown::Write).unwrap();
            }
            let exchange = Exchange::new(Connection::over(ours, patience), 16);
            let mut answers = Answers { exchange, limit: None };
            let error = answers.get::<Vec<u8>>("/a").unwrap_err();
            let is_silent =
                error.downcast_ref::<Problem>().is_some_and(|one| one.id == "engine.silent");
            assert_eq!(is_silent, !is_closed, "{cut}: {error:#}");
        }
    }
}
