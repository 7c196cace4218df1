//! Questions to the engine over its own interface (docs.docker.com/reference/api/engine), which
//! answers in a tenth of the time that a `docker` program takes to start.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ANSWER;
use super::connection::Connection;
use crate::process::check_interrupted;

/// A connection to the engine, and the answer to what was asked last, read as it comes. The end
/// of an answer is told from a connection that broke off.
#[derive(Debug)]
pub(super) struct Answers {
    source: BufReader<Connection>,
    left: Left,
}

/// How much of the answer is to come.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// This much of a chunk, after which there are others.
    Chunk(u64),
    /// This much.
    Bytes(u64),
    UntilClose,
    Nothing,
}

impl Answers {
    /// Connects. A read fails when nothing comes within `silence`; `buffer` bytes are taken at
    /// once.
    ///
    /// # Errors
    /// A prerequisite problem when no engine is there.
    pub(super) fn open(silence: Option<Duration>, buffer: usize) -> Result<Self> {
        let source = BufReader::with_capacity(buffer, Connection::open(silence)?);
        Ok(Self { source, left: Left::Nothing })
    }

    /// Connects, for answers that are short and come at once.
    ///
    /// # Errors
    /// As [`Answers::open`].
    pub(super) fn brief() -> Result<Self> {
        Self::open(Some(ANSWER), 16 << 10)
    }

    /// Asks for `path`, which is encoded already, once the last answer was read to its end.
    /// Returns the status; what is read then is the body.
    ///
    /// # Errors
    /// When the engine does not answer, or the user interrupts.
    pub(super) fn ask(&mut self, path: &str) -> Result<u16> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: docker\r\n\r\n"))
    }

    /// Gives `path` a document, and is otherwise as [`Answers::ask`].
    ///
    /// # Errors
    /// As [`Answers::ask`].
    pub(super) fn give(&mut self, path: &str, document: &serde_json::Value) -> Result<u16> {
        let body = document.to_string();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn send(&mut self, request: &str) -> Result<u16> {
        let sent = self.source.get_mut().send(request.as_bytes());
        let status = sent.and_then(|()| self.head());
        status.map_err(|error| self.why(error).context("asking the engine"))
    }

    /// What is at `path`; `None` where the engine says that there is no such thing.
    ///
    /// # Errors
    /// As [`Answers::ask`], and when the engine refuses or makes no sense.
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
    /// When it breaks off, or the user interrupts.
    pub(super) fn body(&mut self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        self.read_to_end(&mut text).map_err(|error| self.why(error.into()))?;
        Ok(text)
    }

    /// The interruption or the client's own words, where they caused `error`.
    pub(super) fn why(&mut self, error: anyhow::Error) -> anyhow::Error {
        let cause = check_interrupted().err().or_else(|| self.source.get_mut().failure());
        cause.unwrap_or(error)
    }

    /// Reads status line and headers; returns the status.
    fn head(&mut self) -> Result<u16> {
        let status = self.line()?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let code = code.with_context(|| format!("the engine's answer `{status}` is no HTTP"))?;
        self.left = Left::UntilClose;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => return Ok(code),
                Some(("transfer-encoding", value)) if value.trim() == "chunked" => {
                    self.left = Left::Chunk(0)
                }
                Some(("content-length", value)) => self.left = Left::Bytes(value.trim().parse()?),
                Some(_) => {}
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        (&mut self.source).take(1 << 16).read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the engine broke off its answer");
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// Begins the next chunk; the last has no length, and an empty line after it.
    fn next_chunk(&mut self) -> Result<()> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16)
            .with_context(|| format!("`{line}` is no chunk of HTTP"))?;
        self.left = Left::Chunk(size);
        if size == 0 {
            self.line()?;
            self.left = Left::Nothing;
        }
        Ok(())
    }
}

impl Read for Answers {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if matches!(self.left, Left::Chunk(0)) {
            self.next_chunk().map_err(std::io::Error::other)?;
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
        if read == 0 && !matches!(self.left, Left::UntilClose) {
            return Err(std::io::Error::other("the engine broke off its answer"));
        }
        match &mut self.left {
            Left::Chunk(left) | Left::Bytes(left) => *left -= read as u64,
            Left::UntilClose | Left::Nothing => {}
        }
        if matches!(self.left, Left::Chunk(0)) {
            // The line break after a chunk's bytes.
            self.line().map_err(std::io::Error::other)?;
        }
        Ok(read)
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
    use std::os::unix::net::UnixStream;

    use super::*;

    fn answers(text: &str) -> (Answers, UnixStream) {
        let (ours, mut engine) = UnixStream::pair().unwrap();
        engine.write_all(text.as_bytes()).unwrap();
        let connection = Connection::Socket(ours, Some(Duration::from_secs(5)));
        (Answers { source: BufReader::new(connection), left: Left::Nothing }, engine)
    }

    #[test]
    fn one_connection_answers_one_question_after_another() {
        let (mut answers, _open) = answers(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]\
             HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}\
             HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[2\r\n1\r\n]\r\n0\r\n\r\n\
             HTTP/1.1 500 Oh\r\nContent-Length: 17\r\n\r\n{\"message\":\"why\"}",
        );
        assert_eq!(answers.get::<Vec<u8>>("/a").unwrap(), Some(vec![1]));
        assert_eq!(answers.get::<Vec<u8>>("/b").unwrap(), None);
        assert_eq!(answers.get::<Vec<u8>>("/c").unwrap(), Some(vec![2]));
        let error = answers.get::<Vec<u8>>("/d").unwrap_err().to_string();
        assert_eq!(error, "the engine refuses /d: why (status 500)");
    }

    #[test]
    fn an_answer_that_breaks_off_is_no_answer() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n",
            "HTTP/1.1 200",
        ] {
            let (mut answers, engine) = answers(text);
            engine.shutdown(std::net::Shutdown::Write).unwrap();
            let error = format!("{:#}", answers.get::<Vec<u8>>("/a").unwrap_err());
            assert!(error.ends_with("the engine broke off its answer"), "{error}");
        }
    }
}
