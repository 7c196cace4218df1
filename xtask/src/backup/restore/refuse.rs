//! What speaks against a restore, before anything is changed, each with the way out.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;

use super::{Item, Request};
use crate::backup::free_space::Need;
use crate::backup::unpack::content_bytes;
use crate::backup::verify::{self, Depth};
use crate::context::Context;
use crate::docker::location::Location;
use crate::host::disk;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Problem, Severity};
use crate::stack::Stack;
use crate::stack::manifest::DataDirectory;

/// Of the data's size, so that a server has room to write while it recovers.
const ROOM: f64 = 1.2;

impl Request<'_> {
    /// Everything that speaks against it, before anything is changed.
    ///
    /// # Errors
    /// A problem with the way out.
    pub fn refuse(&self, cx: &Context) -> Result<()> {
        let manifest = &self.set.manifest;
        if manifest.stack != *self.stack.name() {
            return Err(Problem::failed(
                "restore.other-stack",
                format!(
                    "{} is a set of the {} stack, not of {}",
                    self.set.id,
                    manifest.stack,
                    self.stack.name()
                ),
            )
            .mend(format!("choose another: {}", Xtask::BackupList))
            .into());
        }
        let items = self.items()?;
        if items.is_empty() {
            return Err(Problem::usage(
                "restore.nothing",
                format!(
                    "{} holds the configuration alone, which is not put in place by itself",
                    self.set.id
                ),
            )
            .mend(format!(
                "unpack it to look, and copy what you want: {}",
                Xtask::BackupRestoreTo(self.stack.on(), self.set.id.to_string())
            ))
            .into());
        }
        self.keys.fit(items.iter().flat_map(|item| item.objects.iter().copied()))?;
        for item in &items {
            self.refuse_other_kind(item)?;
            item.held.refuse(self.stack, &item.image)?;
            refuse_mount_point(self.stack, item.data)?;
        }
        self.refuse_full_disk(&items)?;
        let sets = std::slice::from_ref(self.set.get());
        let findings =
            verify::objects(&cx.report, self.folder, sets, Depth::Full, &self.keys, !cx.dry_run)?;
        for finding in &findings {
            cx.report.finding(finding);
        }
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Problem::failed(
                "backup.damaged",
                format!("{} is damaged: nothing was restored, nothing has changed", self.set.id),
            )
            .mend(format!("choose another: {}", Xtask::BackupList))
            .into());
        }
        Ok(())
    }

    pub(super) fn refuse_other_kind(&self, item: &Item) -> Result<()> {
        let was_offline = item.service.is_offline_image(&item.record.image);
        if was_offline == self.stack.is_offline(item.service) {
            return Ok(());
        }
        let variable = self.stack.compose.image_variable(&item.service.name)?;
        Err(Problem::failed(
            "restore.other-kind",
            format!(
                "{} of the set was made by {}, and must not be opened by {}",
                item.service.name, item.record.image, item.image
            ),
        )
        .mend(format!(
            "put {variable}={} into {}",
            item.record.image,
            self.stack.env.path().display()
        ))
        .into())
    }

    fn refuse_full_disk(&self, items: &[Item]) -> Result<()> {
        // Where the directory is another machine's, its disk cannot be asked.
        if !Location::current()?.shares_paths() {
            return Ok(());
        }
        let contents: u64 = items.iter().map(|item| content_bytes(&item.objects)).sum();
        Need {
            id: "restore.disk-low",
            who: "the new data beside the old",
            bytes: (contents as f64 * ROOM) as u64,
            mend: Advice::from("make room").or(format!(
                "drop what an earlier restore keeps: {}",
                Xtask::BackupDrop(self.stack.on())
            )),
        }
        .fits(&self.stack.data_dir())
    }
}

/// A directory on which something is mounted cannot be renamed, be it of the same disk.
fn refuse_mount_point(stack: &Stack, data: &DataDirectory) -> Result<()> {
    let device = |path: &Path| std::fs::symlink_metadata(path).map(|facts| facts.dev()).ok();
    let path = stack.data_path(data);
    let devices = (device(&path), device(&stack.data_dir()));
    let is_other_disk = matches!(devices, (Some(inner), Some(outer)) if inner != outer);
    let is_here = Location::current()?.shares_paths();
    let is_mounted = is_other_disk || (is_here && disk::is_mount_point(&path)?);
    if !is_mounted {
        return Ok(());
    }
    let found = format!(
        "something is mounted at {}, so it cannot be exchanged for another directory",
        path.display()
    );
    let by_hand = "unpack the set with --to DIR, and copy by hand while the stack is down";
    Err(Problem::failed("restore.mount-point", found)
        .mend(Advice::from(by_hand).or(format!(
            "unmount it while the stack is down, where it is no disk of its own: umount {}",
            path.display()
        )))
        .into())
}
