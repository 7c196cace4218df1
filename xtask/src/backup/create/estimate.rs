//! What a backup will take on disk, as far as can be told before it begins.

use anyhow::Result;

use super::Creation;
use crate::backup::free_space::{self, Need};
use crate::backup::set::Set;
use crate::backup::stack_files;

/// Bytes that must stay free beyond the estimate.
const SPARE: u64 = 16 << 20;
/// What is compressed to a half, where no earlier set tells more.
const USUAL_RATIO: f64 = 0.5;
/// How much worse the data may compress than in the earlier set.
const MARGIN: f64 = 1.2;

impl Creation<'_> {
    /// A problem when there is too little room for it.
    pub(super) fn refuse_full_disk(&self) -> Result<()> {
        let request = &self.request;
        let parts = self.jobs.iter().flat_map(|job| {
            let parts = job.streams.iter().flat_map(|stream| &stream.parts);
            self.shared.without(&job.subject.service.name, parts)
        });
        let contents = parts.map(|part| part.estimate).sum();
        let (sets, _) = request.folder.sets()?;
        let last = sets.iter().rfind(|set| set.manifest.project == *request.stack.project());
        let files = stack_files::size(request.stack)?;
        Need {
            id: "backup.disk-low",
            who: "this backup",
            bytes: stored(contents, last) + files + SPARE,
            mend: free_space::on_the_backup_disk(),
        }
        .fits(request.folder.path())
    }
}

/// Bytes on disk of so many, given how well `last` was compressed.
fn stored(contents: u64, last: Option<&Set>) -> u64 {
    let ratio = last.map_or(USUAL_RATIO, |set| {
        let objects = set.manifest.objects.iter();
        let contents: u64 = objects.map(|object| object.content_bytes).sum();
        set.bytes() as f64 / (contents as f64).max(1.0) * MARGIN
    });
    (contents as f64 * ratio.min(1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::example;

    #[test]
    fn the_last_set_tells_how_well_the_data_compresses() {
        assert_eq!(stored(1000, None), 500);
        let (folder, _, _place) = example::folder_with_block();
        let mut set = folder.sets().unwrap().0.remove(0);
        let mut with = |bytes, content_bytes| {
            (set.manifest.objects[0].bytes, set.manifest.objects[0].content_bytes) =
                (bytes, content_bytes);
            stored(1000, Some(&set))
        };
        assert_eq!(with(10, 100), 120);
        assert_eq!(with(100, 100), 1000, "nothing grows by being stored");
        assert_eq!(with(0, 0), 0);
    }
}
