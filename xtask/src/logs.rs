//! Container logs outlive the container and the engine's own rotation, within a bound.
//!
//! `${DATA_DIR}/logs/<stack>/<service>/` holds what was archived: `<day>.log.zst`, readable with
//! `zstdcat`, one entry a line, in the format of Kubernetes' container logs:
//!
//! ```text
//! 2026-11-23T13:05:48.123456789Z stdout F the text
//! ```
//!
//! `P` instead of `F` marks a part of a line that goes on in the next entry, `gap` instead of the
//! stream a place where lines may be missing. Beside lies `cursor.json`: what of each container
//! was archived. It is replaced last, so that a run killed at any moment repeats and loses nothing.

pub mod archive;
pub mod cursor;
pub mod day;
pub mod entry;
pub mod follow;
pub mod frame;
pub mod fresh;
pub mod join;
pub mod outcome;
pub mod read;
pub mod removal;
pub mod rotate;
pub mod stored;
pub mod when;
mod writer;
