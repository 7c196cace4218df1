//! A server's HTTP interface: the stack's own over the network, a throwaway one from inside.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde::de::DeserializeOwned;

use super::Client;
use crate::client::{Unanswered, http};
use crate::process::check_interrupted;
use crate::stack::Stack;
use crate::stack::manifest::Service;
use crate::stack::url::Url;

/// Longest wait for an answer: a snapshot or a query over much data takes its time.
const ANSWER: Duration = Duration::from_secs(600);

/// How it is reached.
#[derive(Debug)]
pub(super) enum Api<'a> {
    /// Under this URL, with its password.
    Network(Box<Url>),
    /// By a script inside that takes a path.
    Inside(Client<'a>),
}

impl Api<'_> {
    /// The interface of the stack's own server.
    ///
    /// # Errors
    /// When `.env` lacks what its URL needs.
    pub(super) fn of(stack: &Stack, service: &Service) -> Result<Self> {
        let endpoint = service.endpoints.first().context("stacks.toml names no endpoint")?;
        Ok(Self::Network(Box::new(stack.url(&endpoint.url)?)))
    }

    /// What it answers to a GET.
    ///
    /// # Errors
    /// When there is no good answer, or the user interrupts.
    pub(super) fn get(&self, path: &str) -> Result<String> {
        match self {
            Self::Inside(client) => client.cmd(&[path], "").time_limit(ANSWER).read(),
            Self::Network(url) => answer(url, http::get_within(url, path, ANSWER)),
        }
    }

    /// What it answers to a POST of nothing.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub(super) fn post(&self, path: &str) -> Result<String> {
        match self {
            Self::Inside(_) => Err(anyhow!("a throwaway server is only read from")),
            Self::Network(url) => answer(url, http::post_within(url, path, "", ANSWER)),
        }
    }

    /// The JSON that it answers to a GET.
    ///
    /// # Errors
    /// As [`Api::get`], or when it is not what was expected.
    pub(super) fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        serde_json::from_str(&self.get(path)?).with_context(|| format!("reading {path}"))
    }

    /// One of its metrics that has no labels.
    ///
    /// # Errors
    /// As [`Api::get`], or when it has none of that name.
    pub(super) fn metric(&self, name: &str) -> Result<f64> {
        let page = self.get("/metrics")?;
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("there is no metric {name}"))?;
        value.parse().with_context(|| format!("reading {name} `{value}`"))
    }
}

/// The interruption, where that ended the wait.
fn answer(url: &Url, answer: Result<String, Unanswered>) -> Result<String> {
    check_interrupted()?;
    answer.map_err(|why| anyhow!("{url}: {why}"))
}
