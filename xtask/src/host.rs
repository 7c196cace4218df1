//! The only place that touches the machine: files, locks, disks, memory, ports, digests.

pub mod digest;
pub mod disk;
pub mod files;
pub mod lock;
pub mod memory;
pub mod ports;
pub mod user;
