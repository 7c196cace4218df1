//! End-to-end tests: what the README promises, on a real engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod api_alerts;
mod archives;
mod backup;
mod backup_damage;
mod backup_disk;
mod backup_encrypted;
mod backup_guide;
mod backup_killed;
mod backup_monitoring;
mod backup_names;
mod backup_refusals;
mod backup_remote;
mod bad_input;
mod bare_machine;
mod by_hand;
mod command_line;
mod dashboards;
mod data_safety;
mod dotenv;
mod engine_stopped;
mod env_check;
mod foreign;
mod guarded;
mod healthy;
mod images;
mod images_grafana;
mod killed;
mod lifecycle;
mod limits;
mod logs;
mod logs_once;
mod mail;
mod monitoring;
mod notifications;
mod outages;
mod people;
mod postgres_version;
mod quotas;
mod rules;
mod schedule;
mod secrets;
mod servers;
mod words;
