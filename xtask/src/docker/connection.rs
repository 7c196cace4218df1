//! A connection to the engine's own interface.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::Result;

use super::endpoint::{Endpoint, unreachable};
use crate::http::{Patience, Timed};
use crate::process::{Cmd, Dialogue};

/// A stream to the engine. A read fails when patience is over or the user interrupts.
#[derive(Debug)]
pub(super) enum Connection {
    /// To a socket of this machine.
    Socket(Timed<UnixStream>),
    /// Through the client, which knows the way to every other kind of endpoint.
    Client(Box<Timed<Dialogue>>),
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// A prerequisite problem when no engine is there.
    pub(super) fn open(patience: Patience) -> Result<Self> {
        if matches!(Endpoint::current(), Endpoint::Unknown(_)) {
            return Err(unreachable("").into());
        }
        if let Some(path) = Endpoint::current().socket() {
            let socket = UnixStream::connect(path).map_err(|error| unreachable(&error.to_string()));
            return Ok(Self::over(socket?, patience));
        }
        let dial = Cmd::new("docker").args(["system", "dial-stdio"]).talk()?;
        Ok(Self::Client(Box::new(Timed::new(dial, patience))))
    }

    pub(super) fn over(socket: UnixStream, patience: Patience) -> Self {
        Self::Socket(Timed::new(socket, patience))
    }

    /// Has the reads from now on end with `patience`.
    pub(super) fn wait(&mut self, patience: Patience) {
        match self {
            Self::Socket(socket) => socket.wait(patience),
            Self::Client(dialogue) => dialogue.wait(patience),
        }
    }

    /// Why the client failed, if it had.
    pub(super) fn failure(&mut self) -> Option<anyhow::Error> {
        match self {
            Self::Socket(_) => None,
            Self::Client(dialogue) => {
                let failure = dialogue.stream().failure();
                failure.map(|error| unreachable(&error.to_string()).into())
            }
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.read(buffer),
            Self::Client(dialogue) => dialogue.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.write(bytes),
            Self::Client(dialogue) => dialogue.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.flush(),
            Self::Client(dialogue) => dialogue.flush(),
        }
    }
}
