//! A connection to the engine's own interface, for what the client's commands cannot say.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

use super::engine::Endpoint;
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
    /// Sends `request`. A read fails when nothing comes within `silence`.
    pub(super) fn open(request: &[u8], silence: Option<Duration>) -> Result<Self> {
        static ENDPOINT: OnceLock<Endpoint> = OnceLock::new();
        if let Some(path) = ENDPOINT.get_or_init(Endpoint::current).socket() {
            let connecting = || format!("connecting to the engine at {}", path.display());
            let mut socket = UnixStream::connect(path).with_context(connecting)?;
            socket.write_all(request).with_context(connecting)?;
            return Ok(Self::Socket(socket, silence));
        }
        let mut dial = Cmd::new("docker").args(["system", "dial-stdio"]);
        if let Some(silence) = silence {
            dial = dial.time_limit(silence);
        }
        Ok(Self::Client(dial.talk(request)?))
    }

    /// Why the client failed, if it had.
    pub(super) fn failure(&mut self) -> Option<anyhow::Error> {
        match self {
            Self::Socket(..) => None,
            Self::Client(dialogue) => dialogue.failure(),
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
