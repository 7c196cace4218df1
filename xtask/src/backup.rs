//! Backups: sets of objects, made while the services run, proven by verify and drill.

pub mod archive;
pub mod config;
pub mod configuration;
pub mod create;
pub mod drill;
pub mod folder;
pub mod metrics;
pub mod object;
pub mod progress;
pub mod prune;
pub mod restore;
pub mod set;
pub mod source;
pub mod throwaway;
pub mod unpack;
pub mod verify;
