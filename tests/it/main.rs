//! End-to-end tests: what the README promises, on a real engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bad_input;
mod bare_machine;
mod by_hand;
mod command_line;
mod data_safety;
mod dotenv;
mod images;
mod killed;
mod lifecycle;
mod logs;
mod quotas;
mod schedule;
mod secrets;
