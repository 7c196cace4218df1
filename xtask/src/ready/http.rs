//! A GET or a POST that must end with status 200, with the URL's user and password if it has them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;

use super::{QUESTION, Unanswered, connect};
use crate::stack::url::Url;

pub(super) fn ask(url: &Url, path: &str) -> Result<(), Unanswered> {
    get(url, path).map(drop)
}

/// The body of `path` at the URL's host.
///
/// # Errors
/// Why there was none.
pub(crate) fn get(url: &Url, path: &str) -> Result<String, Unanswered> {
    get_within(url, path, QUESTION)
}

/// As [`get`], for an answer that may take so long.
///
/// # Errors
/// As [`get`].
pub(crate) fn get_within(url: &Url, path: &str, limit: Duration) -> Result<String, Unanswered> {
    // For the same words as everywhere when nobody listens.
    drop(connect(url)?);
    let mut request = agent(limit).get(address(url, path));
    if let Some(login) = login(url) {
        request = request.header("Authorization", login);
    }
    body(request.call())
}

/// What the URL's host answers to `json`, posted to `path`.
///
/// # Errors
/// Why there was no good answer.
pub(crate) fn post(url: &Url, path: &str, json: &str) -> Result<String, Unanswered> {
    post_within(url, path, json, QUESTION)
}

/// As [`post`], for an answer that may take so long.
///
/// # Errors
/// As [`post`].
pub(crate) fn post_within(
    url: &Url,
    path: &str,
    json: &str,
    limit: Duration,
) -> Result<String, Unanswered> {
    drop(connect(url)?);
    let mut request =
        agent(limit).post(address(url, path)).header("Content-Type", "application/json");
    if let Some(login) = login(url) {
        request = request.header("Authorization", login);
    }
    body(request.send(json))
}

fn agent(limit: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        .build()
        .new_agent()
}

fn address(url: &Url, path: &str) -> String {
    format!("http://{}:{}{path}", url.host, url.port)
}

fn login(url: &Url) -> Option<String> {
    let password = url.password.as_ref()?;
    let login = STANDARD.encode(format!("{}:{}", url.user, password.reveal()));
    Some(format!("Basic {login}"))
}

fn body(
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<String, Unanswered> {
    let failed = |error: ureq::Error| Unanswered::NotYet(error.to_string());
    let mut response = response.map_err(failed)?;
    match response.status().as_u16() {
        200 => response.body_mut().read_to_string().map_err(failed),
        status @ (401 | 403) => {
            Err(Unanswered::Refused(format!("it refuses us with status {status}")))
        }
        status => Err(Unanswered::NotYet(format!("it answers with status {status}"))),
    }
}

/// The JSON of `path` at the URL's host.
///
/// # Errors
/// Why there was none.
pub(crate) fn get_json<T: DeserializeOwned>(url: &Url, path: &str) -> Result<T, Unanswered> {
    let text = get(url, path)?;
    serde_json::from_str(&text)
        .map_err(|error| Unanswered::NotYet(format!("{path} answers what we do not know: {error}")))
}
