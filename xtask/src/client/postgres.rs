//! A login and a query over the network, as any client would
//! (postgresql.org, "Frontend/Backend Protocol").

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::BytesMut;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::{ErrorResponseBody, Message};
use postgres_protocol::message::frontend;

use super::{Unanswered, connect};
use crate::secret::Secret;
use crate::stack::url::Url;

pub(super) fn ask(url: &Url) -> Result<(), Unanswered> {
    let mut connection =
        Connection { stream: connect(url)?, received: BytesMut::new(), sent: BytesMut::new() };
    let database = url.database();
    let parameters = [
        ("user", url.user.as_str()),
        ("database", database.as_str()),
        ("application_name", "xtask"),
    ];
    connection.send(|buffer| frontend::startup_message(parameters, buffer))?;
    connection.log_in(&url.user, url.password.as_ref())?;
    connection.send(|buffer| frontend::query("SELECT 1", buffer))?;
    let mut answered = false;
    loop {
        match connection.receive()? {
            Message::DataRow(_) => answered = true,
            Message::ReadyForQuery(_) if answered => return Ok(()),
            Message::ReadyForQuery(_) => {
                return Err(Unanswered::NotYet("a query has no answer".to_owned()));
            }
            _ => {}
        }
    }
}

struct Connection {
    stream: TcpStream,
    received: BytesMut,
    sent: BytesMut,
}

impl Connection {
    fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
    ) -> Result<(), Unanswered> {
        self.sent.clear();
        write(&mut self.sent)?;
        Ok(self.stream.write_all(&self.sent)?)
    }

    /// The next message; what the server complains of becomes the error.
    fn receive(&mut self) -> Result<Message, Unanswered> {
        loop {
            if let Some(message) = Message::parse(&mut self.received)? {
                match message {
                    Message::ErrorResponse(error) => return Err(complaint(&error)),
                    message => return Ok(message),
                }
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk)? {
                0 => return Err(Unanswered::NotYet("it hung up".to_owned())),
                read => self.received.extend_from_slice(&chunk[..read]),
            }
        }
    }

    fn log_in(&mut self, user: &str, password: Option<&Secret>) -> Result<(), Unanswered> {
        let password = password.map_or("", Secret::reveal).as_bytes();
        let mut scram = sasl::ScramSha256::new(password, sasl::ChannelBinding::unsupported());
        loop {
            match self.receive()? {
                Message::AuthenticationOk
                | Message::ParameterStatus(_)
                | Message::BackendKeyData(_)
                | Message::NoticeResponse(_) => {}
                Message::AuthenticationSasl(_) => {
                    self.send(|buffer| {
                        frontend::sasl_initial_response(
                            sasl::SCRAM_SHA_256,
                            scram.message(),
                            buffer,
                        )
                    })?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    self.send(|buffer| frontend::sasl_response(scram.message(), buffer))?;
                }
                Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(user.as_bytes(), password, body.salt());
                    self.send(|buffer| frontend::password_message(hash.as_bytes(), buffer))?;
                }
                Message::AuthenticationCleartextPassword => {
                    self.send(|buffer| frontend::password_message(password, buffer))?;
                }
                Message::ReadyForQuery(_) => return Ok(()),
                _ => {
                    return Err(Unanswered::Refused(
                        "it asks for a way to log in that xtask does not know".to_owned(),
                    ));
                }
            }
        }
    }
}

/// SQLSTATE class 28 is a refused login, 3D000 a missing database; everything else may pass.
fn complaint(error: &ErrorResponseBody) -> Unanswered {
    use fallible_iterator::FallibleIterator;
    let (mut code, mut message) = (String::new(), String::new());
    let mut fields = error.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = value,
            b'M' => message = value,
            _ => {}
        }
    }
    let said = format!("PostgreSQL says: {message}");
    if code.starts_with("28") || code == "3D000" {
        Unanswered::Refused(said)
    } else {
        Unanswered::NotYet(said)
    }
}
