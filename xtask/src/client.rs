//! One question to a server over the network, as its clients ask: does it answer, and what?

pub mod http;
mod postgres;
mod redis;
mod smtp;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::stack::url::Url;

/// Longest that one question may take, so that a hung service cannot hold up the others.
const QUESTION: Duration = Duration::from_secs(5);

/// Why a service gave no good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// It does not answer, or says that it is starting: ask again.
    NotYet(String),
    /// It answers, and will give the same answer until somebody mends something.
    Refused(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        Self::NotYet(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
            io::ErrorKind::ConnectionRefused => "nobody listens".to_owned(),
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => "it hung up".to_owned(),
            _ => error.to_string(),
        })
    }
}

/// Asks what the URL's scheme stands for: a query, a PING, a GET of `path` where one is given, a
/// greeting.
///
/// # Errors
/// Why there was no good answer.
pub fn ask(url: &Url, path: Option<&str>) -> Result<(), Unanswered> {
    match url.scheme.as_str() {
        "postgresql" => postgres::ask(url),
        "redis" => redis::ask(url),
        "smtp" => smtp::ask(url),
        "http" => http::ask(url, path.unwrap_or(url.encoded_path())),
        scheme => {
            Err(Unanswered::Refused(format!("xtask knows no way to ask a `{scheme}` service")))
        }
    }
}

fn connect(url: &Url) -> Result<TcpStream, Unanswered> {
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = (host, url.port).to_socket_addrs()?.collect();
    let address =
        addresses.first().ok_or_else(|| Unanswered::NotYet(format!("`{host}` has no address")))?;
    let stream = TcpStream::connect_timeout(address, QUESTION)?;
    stream.set_read_timeout(Some(QUESTION))?;
    stream.set_write_timeout(Some(QUESTION))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that answers one connection with fixed bytes.
    fn answering(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        port
    }

    fn ask_text(url: &str) -> Result<(), Unanswered> {
        ask(&url.parse().unwrap(), None)
    }

    #[test]
    fn a_wrong_password_is_refused_and_a_loading_server_is_asked_again() {
        let port = answering(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n");
        assert!(matches!(
            ask_text(&format!("redis://:secret@127.0.0.1:{port}/0")),
            Err(Unanswered::Refused(_))
        ));
        let port = answering(b"-LOADING Redis is loading the dataset in memory\r\n");
        assert!(matches!(
            ask_text(&format!("redis://:secret@127.0.0.1:{port}/0")),
            Err(Unanswered::NotYet(_))
        ));
        let port = answering(b"+OK\r\n+PONG\r\n");
        assert_eq!(ask_text(&format!("redis://:secret@127.0.0.1:{port}/0")), Ok(()));
    }

    #[test]
    fn a_mail_server_must_greet() {
        let port = answering(b"220 mail ready\r\n250 hello\r\n");
        assert_eq!(ask_text(&format!("smtp://127.0.0.1:{port}")), Ok(()));
        let port = answering(b"HTTP/1.1 400 Bad Request\r\n");
        assert!(ask_text(&format!("smtp://127.0.0.1:{port}")).is_err());
    }

    #[test]
    fn nobody_there_is_asked_again() {
        let port = crate::host::ports::free_for("nobody", 1).unwrap()[0];
        for scheme in ["postgresql", "redis", "smtp", "http"] {
            let answer = ask_text(&format!("{scheme}://u:password@127.0.0.1:{port}/x"));
            assert_eq!(answer, Err(Unanswered::NotYet("nobody listens".to_owned())), "{scheme}");
        }
    }
}
