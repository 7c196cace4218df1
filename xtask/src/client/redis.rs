//! AUTH and PING (redis.io, "Redis serialization protocol specification").

use std::io::{BufRead, BufReader, Write};

use super::{Unanswered, connect};
use crate::stack::url::Url;

pub(super) fn ask(url: &Url) -> Result<(), Unanswered> {
    let mut stream = connect(url)?;
    let mut request = Vec::new();
    if let Some(password) = &url.password {
        let password = password.reveal();
        let user: &[&str] = if url.user.is_empty() { &[] } else { &[&url.user] };
        request.extend(command(&[&["AUTH"], user, &[password]].concat()));
    }
    let questions = request.len().min(1) + 1;
    request.extend(command(&["PING"]));
    stream.write_all(&request)?;
    let mut answers = BufReader::new(stream);
    for _ in 0..questions {
        let mut line = String::new();
        answers.read_line(&mut line)?;
        match line.trim_end() {
            "+OK" | "+PONG" => {}
            "" => return Err(Unanswered::NotYet("it hung up".to_owned())),
            error if error.starts_with("-LOADING") => {
                return Err(Unanswered::NotYet("it is loading its data".to_owned()));
            }
            error => {
                return Err(Unanswered::Refused(format!(
                    "Redis says: {}",
                    error.trim_start_matches('-')
                )));
            }
        }
    }
    Ok(())
}

/// An array of bulk strings.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}
