//! A GET that must end with status 200, with the URL's user and password if it has them.

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
    // For the same words as everywhere when nobody listens.
    drop(connect(url)?);
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(QUESTION))
        .http_status_as_error(false)
        .build()
        .new_agent();
    let mut request = agent.get(format!("http://{}:{}{path}", url.host, url.port));
    if let Some(password) = &url.password {
        let login = STANDARD.encode(format!("{}:{}", url.user, password.reveal()));
        request = request.header("Authorization", format!("Basic {login}"));
    }
    let failed = |error: ureq::Error| Unanswered::NotYet(error.to_string());
    let mut response = request.call().map_err(failed)?;
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
pub(super) fn get_json<T: DeserializeOwned>(url: &Url, path: &str) -> Result<T, Unanswered> {
    let text = get(url, path)?;
    serde_json::from_str(&text)
        .map_err(|error| Unanswered::NotYet(format!("{path} answers what we do not know: {error}")))
}
