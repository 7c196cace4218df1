//! A connection to the engine's own interface.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result};

use super::endpoint::{Endpoint, unreachable};
use crate::process::{Cmd, Dialogue, read_within};

/// A request's answer, read as it comes. A read fails when the user interrupts.
#[derive(Debug)]
pub(super) enum Connection {
    /// To a socket of this machine.
    Socket(UnixStream, Option<Duration>),
    /// Through the client, which knows the way to every other kind of endpoint.
    Client(Dialogue),
}

impl Connection {
    /// Connects. A read fails when nothing comes within `silence`.
    ///
    /// # Errors
    /// A prerequisite problem when no engine is there.
    pub(super) fn open(silence: Option<Duration>) -> Result<Self> {
        if let Some(path) = Endpoint::current().socket() {
            let socket = UnixStream::connect(path).map_err(|error| unreachable(&error.to_string()));
            return Ok(Self::Socket(socket?, silence));
        }
        let mut dial = Cmd::new("docker").args(["system", "dial-stdio"]);
        if let Some(silence) = silence {
            dial = dial.time_limit(silence);
        }
        Ok(Self::Client(dial.talk()?))
    }

    /// Sends `request`.
    ///
    /// # Errors
    /// When nobody takes it.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<()> {
        match self {
            Self::Socket(socket, _) => {
                socket.write_all(request).context("writing to the engine's socket")
            }
            Self::Client(dialogue) => dialogue.say(request),
        }
    }

    /// Why the client failed, if it had.
    pub(super) fn failure(&mut self) -> Option<anyhow::Error> {
        match self {
            Self::Socket(..) => None,
            Self::Client(dialogue) => {
                dialogue.failure().map(|error| unreachable(&error.to_string()).into())
            }
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket, silence) => read_within(socket, buffer, *silence)?
                .ok_or_else(|| io::Error::other("the engine gave no answer for too long")),
            Self::Client(dialogue) => dialogue.read(buffer),
        }
    }
}
