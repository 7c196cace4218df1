//! A container's log as the engine keeps it: message by message, in its order.
//!
//! Asked over the engine's own interface (docs.docker.com/reference/api/engine, "Get container
//! logs") and not with `docker logs`: there the two streams arrive on two pipes, which loses their
//! order, and the parts of a long line run into each other.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::api::{Answers, message};
use super::container::Container;
use crate::http::Patience;
use crate::report::finding::Problem;

/// Longest silence: the engine may look through gigabytes for where to begin.
const SILENCE: Duration = Duration::from_secs(600);
/// The engine passes each message for itself; this many bytes are taken at once.
const BUFFER: usize = 256 << 10;
/// More than any log driver passes in one message (16 KiB for those that keep files).
const LONGEST: usize = 64 << 20;

/// Where a program wrote it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output; also everything that a container with a terminal writes.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin<'a> {
    /// With the first message that the engine still has.
    First,
    /// With the last messages, this many.
    Last(u64),
    /// With those that have this stamp or a later one; the engine looks through all that it has.
    Since(&'a str),
}

/// One message: a line, or a part of one that is longer than 16 KiB.
#[derive(Debug, Clone)]
pub struct Message {
    /// When the engine took it: RFC 3339 in UTC, nine digits of a second, so that text sorts as
    /// time does.
    pub stamp: String,
    /// Where it was written to.
    pub stream: Stream,
    /// Whether it ends its line.
    pub ends_line: bool,
    /// Without stamp and line break.
    pub text: Vec<u8>,
}

/// The messages of one container, read as they come.
#[derive(Debug)]
pub struct Messages {
    body: BufReader<Answers>,
    has_terminal: bool,
    frame: Vec<u8>,
    message: Message,
}

impl Messages {
    /// Asks for the log of `container`; `follow` goes on with what is yet to come.
    ///
    /// # Errors
    /// `logs.unreadable` when its logging driver cannot be read back; when the engine does not answer.
    pub fn open(container: &Container, begin: Begin<'_>, follow: bool) -> Result<Self> {
        let begin = match begin {
            Begin::First => "tail=all".to_owned(),
            Begin::Last(count) => format!("tail={count}"),
            Begin::Since(stamp) => format!("since={}", since(stamp)?),
        };
        let path = format!(
            "/containers/{}/logs?stdout=1&stderr=1&timestamps=1&{begin}&follow={}",
            container.id,
            u8::from(follow),
        );
        let patience = if follow { Patience::Endless } else { Patience::Silence(SILENCE) };
        let mut answers = Answers::open(patience, BUFFER)?;
        let status = answers.ask(&path)?;
        let mut body = BufReader::new(answers);
        if status != 200 {
            return Err(refusal(container, status, &mut body));
        }
        Ok(Self {
            body,
            has_terminal: container.config.has_terminal,
            frame: Vec::new(),
            message: Message {
                stamp: String::new(),
                stream: Stream::Stdout,
                ends_line: true,
                text: Vec::new(),
            },
        })
    }

    /// The next message, until the log ends.
    ///
    /// # Errors
    /// When the connection breaks off, or the user interrupts.
    pub fn read(&mut self) -> Result<Option<&Message>> {
        let read = if self.has_terminal { self.read_line() } else { self.read_frame() };
        match read {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                let error = self.body.get_mut().why(error);
                return Err(error.context("reading the log from the engine"));
            }
        }
        self.parse()?;
        Ok(Some(&self.message))
    }

    /// The message that [`Messages::read`] has returned last.
    pub fn current(&self) -> &Message {
        &self.message
    }

    fn read_line(&mut self) -> Result<bool> {
        self.frame.clear();
        let read = (&mut self.body).take(LONGEST as u64).read_until(b'\n', &mut self.frame)?;
        self.message.stream = Stream::Stdout;
        Ok(read > 0)
    }

    /// Eight bytes say stream and length, then comes the message.
    fn read_frame(&mut self) -> Result<bool> {
        if self.body.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut head = [0; 8];
        self.body.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        ensure!(
            head[0] <= 3 && head[1..4] == [0; 3] && length <= LONGEST,
            "the engine's log stream makes no sense"
        );
        self.frame.resize(length, 0);
        self.body.read_exact(&mut self.frame)?;
        self.message.stream = match head[0] {
            2 => Stream::Stderr,
            3 => bail!(
                "the engine stopped reading the log: {}",
                String::from_utf8_lossy(&self.frame).trim_end()
            ),
            _ => Stream::Stdout,
        };
        Ok(true)
    }

    fn parse(&mut self) -> Result<()> {
        let space = memchr::memchr(b' ', &self.frame).unwrap_or(self.frame.len());
        let (stamp, rest) = self.frame.split_at(space);
        let stamp = std::str::from_utf8(stamp).context("a log message has no stamp")?;
        self.message.stamp.clear();
        if stamp.len() == STAMP && stamp.ends_with('Z') {
            self.message.stamp.push_str(stamp);
        } else {
            // Some drivers give the engine's own time zone.
            let stamp: jiff::Timestamp = stamp.parse().context("a log message has no stamp")?;
            self.message.stamp.push_str(&format_stamp(stamp));
        }
        let mut text = rest.strip_prefix(b" ").unwrap_or(rest);
        self.message.ends_line = text.ends_with(b"\n");
        text = text.strip_suffix(b"\n").unwrap_or(text);
        if self.has_terminal {
            text = text.strip_suffix(b"\r").unwrap_or(text);
        }
        self.message.text.clear();
        self.message.text.extend_from_slice(text);
        Ok(())
    }
}

/// The length of a stamp such as `2026-11-23T13:05:48.123456789Z`.
pub const STAMP: usize = 30;

/// Seconds, a point, nanoseconds, as the engine takes a time.
fn since(stamp: &str) -> Result<String> {
    let stamp: jiff::Timestamp = stamp.parse().context("reading a time stamp")?;
    Ok(format!("{}.{:09}", stamp.as_second(), stamp.subsec_nanosecond()))
}

/// `stamp` in the form of [`Message::stamp`].
pub fn format_stamp(stamp: jiff::Timestamp) -> String {
    format!("{stamp:.9}")
}

/// Why the engine gives no log.
fn refusal(container: &Container, status: u16, body: &mut impl Read) -> anyhow::Error {
    let said = message(body);
    let name = container.name();
    if said.contains("does not support reading") {
        let driver = &container.host_config.log_config.driver;
        return Problem::failed(
            "logs.unreadable",
            format!("the log of {name} cannot be read back: its logging driver is `{driver}`"),
        )
        .mend("use json-file, local or journald as the logging driver in the compose file, then start the stack again")
        .into();
    }
    anyhow::anyhow!("the engine gives no log of {name}: {said} (status {status})")
}
