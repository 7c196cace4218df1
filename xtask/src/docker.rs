//! What is said to Docker and Compose.

mod api;
pub mod compose;
mod connection;
pub mod container;
pub mod endpoint;
pub mod engine;
pub mod exec;
pub mod helper;
pub mod image;
pub mod labels;
pub mod leftovers;
pub mod location;
pub mod log;
pub mod mount;
pub mod network;
pub mod plugin;
mod settings;
pub mod stats;
pub mod transfer;
mod version;
pub mod volume;

use std::time::Duration;

use crate::process::Cmd;

/// Longest wait for an answer of a healthy engine to a question.
const ANSWER: Duration = Duration::from_secs(60);

/// A question to the engine.
pub fn docker() -> Cmd {
    Cmd::new("docker").time_limit(ANSWER)
}
