//! The labels by which xtask knows what it has made.

/// Of every helper container, its volumes and half-made images; its value is the project.
pub const HELPER: &str = "case-interview.helper";
