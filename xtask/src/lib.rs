//! Drives the Docker infrastructure of the Case Interview Practice Platform.
//!
//! The binary `xtask` is a thin `main` over this library, so that tests can link it.
//! `docs/ARCHITECTURE.md` holds the map.

// Tests make and replace files as others would; the program has `host::files`.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod alerts;
pub mod backup;
pub mod check;
pub mod cli;
pub mod client;
pub mod commands;
pub mod configuration;
pub mod context;
pub mod data;
pub mod docker;
pub mod doctor;
#[cfg(test)]
mod garble;
pub mod host;
pub mod http;
pub mod images;
pub mod lifecycle;
pub mod logs;
pub mod metrics;
pub mod names;
pub mod offline;
pub mod plan;
pub mod postgres;
pub mod process;
pub mod quota;
pub mod ready;
pub mod report;
pub mod schedule;
pub mod secret;
pub mod setup;
pub mod stack;
