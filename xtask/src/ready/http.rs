//! A GET that must end with status 200.

use super::{QUESTION, Unanswered, connect};
use crate::stack::url::Url;

pub(super) fn ask(url: &Url, path: &str) -> Result<(), Unanswered> {
    // For the same words as everywhere when nobody listens.
    drop(connect(url)?);
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(QUESTION))
        .http_status_as_error(false)
        .build()
        .new_agent();
    let address = format!("http://{}:{}{path}", url.host, url.port);
    match agent.get(&address).call().map(|response| response.status().as_u16()) {
        Ok(200) => Ok(()),
        Ok(status @ (401 | 403)) => {
            Err(Unanswered::Refused(format!("it refuses us with status {status}")))
        }
        Ok(status) => Err(Unanswered::NotYet(format!("it answers with status {status}"))),
        Err(error) => Err(Unanswered::NotYet(error.to_string())),
    }
}
