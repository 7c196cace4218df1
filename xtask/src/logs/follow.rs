//! What a container logs from now on.

use anyhow::Result;

use super::cursor::Position;
use super::entry::Entry;
use super::fresh::Fresh;
use super::join::{Joiner, Line};
use super::read::Query;
use crate::docker::container::Container;

/// Hands over each wanted line that comes after `position`, until the container stops.
///
/// # Errors
/// When the engine breaks off, or the user interrupts.
pub fn follow(
    container: &Container,
    position: Option<&Position>,
    query: &Query,
    mut take: impl FnMut(Line),
) -> Result<()> {
    let mut fresh = Fresh::follow(container, position)?;
    let mut joiner = Joiner::default();
    while let Some(message) = fresh.read()? {
        joiner.push(&Entry::from(message));
        std::iter::from_fn(|| joiner.pop()).filter(|line| query.takes(line)).for_each(&mut take);
    }
    joiner.finish();
    std::iter::from_fn(|| joiner.pop()).filter(|line| query.takes(line)).for_each(&mut take);
    Ok(())
}
