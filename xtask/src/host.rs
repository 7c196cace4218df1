//! The only place that touches the machine: files, locks, disks, memory, ports, digests, signatures.

pub mod digest;
pub mod disk;
pub mod files;
pub mod followed;
pub mod identity;
pub mod kind;
pub mod lock;
pub mod memory;
mod open;
pub mod ports;
pub mod signature;
pub mod user;
