//! What a backup will take on disk, as far as can be told before it begins.

use anyhow::Result;

use super::{Job, Request};
use crate::backup::configuration;
use crate::backup::room::{self, Need};
use crate::backup::shared::Shared;

/// Room that must stay free beyond the estimate.
const SPARE: u64 = 16 << 20;
/// What is compressed to a half, where no earlier set tells more.
const USUAL_RATIO: f64 = 0.5;

impl Request<'_> {
    /// A problem when there is too little room for it.
    pub(super) fn refuse_full_disk(&self, jobs: &[Job], shared: &Shared) -> Result<()> {
        let of_job = |job: &Job| -> u64 {
            let parts = job.streams.iter().map(|stream| &stream.parts);
            let new = parts.flat_map(|parts| self.new_parts(shared, job.service, parts));
            new.map(|part| part.estimate).sum()
        };
        let estimate: u64 = jobs.iter().map(of_job).sum();
        let (sets, _) = self.folder.sets()?;
        let last = sets.iter().rfind(|set| set.manifest.project == *self.stack.project());
        let ratio = last.map_or(USUAL_RATIO, |set| {
            let contents: u64 =
                set.manifest.objects.iter().map(|object| object.content_bytes).sum();
            set.bytes() as f64 / (contents as f64).max(1.0) * 1.2
        });
        let needed =
            (estimate as f64 * ratio.min(1.0)) as u64 + configuration::size(self.stack)? + SPARE;
        Need {
            id: "backup.disk-low",
            who: "this backup",
            bytes: needed,
            mend: room::on_the_backup_disk(),
        }
        .fits(self.folder.path())
    }
}
