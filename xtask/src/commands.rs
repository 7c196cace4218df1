//! One file a command, holding its arguments and what it does.

pub mod alerts;
pub mod backup;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod down;
pub mod env;
pub mod images;
pub mod logs;
pub mod metrics;
pub mod restart;
pub mod rotate_logs;
pub mod schedule;
pub mod setup;
pub mod shell;
pub mod status;
pub mod test;
pub mod up;
pub mod urls;
