//! What a container logs from now on.

use anyhow::Result;

use super::cursor::Position;
use super::entry::Entry;
use super::fresh::Fresh;
use super::read::{Line, Query, join};
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
    let mut begun = Default::default();
    while let Some(message) = fresh.next()? {
        if let Some(line) = join(&mut begun, &Entry::from(message), query) {
            take(line);
        }
    }
    Ok(())
}
