//! A GET or a POST that must end with status 200, with the URL's user and password if it has them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;

use super::{QUESTION, Unanswered, connect};
use crate::http::{Exchange, Patience, Request, Timed};
use crate::stack::url::Url;

/// Bytes that are taken at once.
const BUFFER: usize = 16 << 10;

pub(super) fn ask(url: &Url, path: &str) -> Result<(), Unanswered> {
    get(url, path).map(drop)
}

/// The body of `path` at the URL's host.
///
/// # Errors
/// Why there was none.
pub fn get(url: &Url, path: &str) -> Result<String, Unanswered> {
    get_within(url, path, QUESTION)
}

/// As [`get`], for an answer that may take so long.
///
/// # Errors
/// As [`get`].
pub fn get_within(url: &Url, path: &str, limit: Duration) -> Result<String, Unanswered> {
    send(url, Request::get(&host(url), path), limit)
}

/// What the URL's host answers to `json`, posted to `path`.
///
/// # Errors
/// Why there was no good answer.
pub fn post(url: &Url, path: &str, json: &str) -> Result<String, Unanswered> {
    post_within(url, path, json, QUESTION)
}

/// Has the URL's host remove what is at `path`.
///
/// # Errors
/// Why there was no good answer.
pub fn delete(url: &Url, path: &str) -> Result<String, Unanswered> {
    send(url, Request::delete(&host(url), path), QUESTION)
}

/// As [`post`], for an answer that may take so long.
///
/// # Errors
/// As [`post`].
pub fn post_within(
    url: &Url,
    path: &str,
    json: &str,
    limit: Duration,
) -> Result<String, Unanswered> {
    send(url, Request::post(&host(url), path, json), limit)
}

fn send(url: &Url, request: Request, limit: Duration) -> Result<String, Unanswered> {
    let request = match &url.password {
        Some(password) => {
            let login = STANDARD.encode(format!("{}:{}", url.user, password.reveal()));
            request.header("Authorization", &format!("Basic {login}"))
        }
        None => request,
    };
    let stream = Timed::new(connect(url)?, Patience::within(limit));
    let mut exchange = Exchange::new(stream, BUFFER);
    match exchange.send(&request.header("Connection", "close"))? {
        200 => {
            let body = exchange.body()?;
            String::from_utf8(body)
                .map_err(|_| Unanswered::NotYet("its answer is not text (UTF-8)".to_owned()))
        }
        status @ (401 | 403) => {
            Err(Unanswered::Refused(format!("it refuses us with status {status}")))
        }
        400 => {
            let body = String::from_utf8_lossy(&exchange.body()?).into_owned();
            Err(Unanswered::Refused(format!("it refuses the request: {}", body.trim())))
        }
        status => Err(Unanswered::NotYet(format!("it answers with status {status}"))),
    }
}

fn host(url: &Url) -> String {
    format!("{}:{}", url.host, url.port)
}

/// The JSON of `path` at the URL's host.
///
/// # Errors
/// Why there was none.
pub fn get_json<T: DeserializeOwned>(url: &Url, path: &str) -> Result<T, Unanswered> {
    let text = get(url, path)?;
    serde_json::from_str(&text)
        .map_err(|error| Unanswered::NotYet(format!("{path} answers what we do not know: {error}")))
}
