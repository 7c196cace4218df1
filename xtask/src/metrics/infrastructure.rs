//! Sizes and quotas, archived logs, offline images.

use std::collections::BTreeSet;

use anyhow::Result;
use jiff::Timestamp;

use super::Page;
use crate::docker::container;
use crate::logs::{rotate, stored};
use crate::quota;
use crate::stack::Stack;

/// The metrics of `stacks`, which keep their data in one directory. What cannot be found out is
/// left out, and said in the second value.
pub fn page(stacks: &[Stack]) -> (Page, Vec<anyhow::Error>) {
    let mut page = Page::default();
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for stack in stacks {
        errors.extend(directories(&mut page, stack, &mut seen).err());
        errors.extend(archives(&mut page, stack).err());
        errors.extend(offline_images(&mut page, stack).err());
    }
    (page, errors)
}

/// The stacks share their own directories, such as `logs`: each is counted once.
fn directories(page: &mut Page, stack: &Stack, seen: &mut BTreeSet<String>) -> Result<()> {
    for of in quota::measure(stack)? {
        if !seen.insert(of.directory.clone()) {
            continue;
        }
        let labels = [("directory", of.directory.as_str())];
        if let Some(bytes) = of.bytes {
            page.gauge("data_directory_bytes", "Size of a data directory.", &labels, number(bytes));
        }
        if let Some(quota) = of.quota_bytes {
            let help = "How large a data directory may become.";
            page.gauge("data_directory_quota_bytes", help, &labels, number(quota));
        }
    }
    Ok(())
}

fn archives(page: &mut Page, stack: &Stack) -> Result<()> {
    let folder = rotate::folder(stack);
    let services = rotate::archived_services(stack)?;
    for service in services.into_iter().filter(|service| stack.archives_log(service)) {
        let (cursor, _) = stored::load(&folder.join(&service))?;
        let labels = [("stack", stack.name()), ("service", &*service)];
        let bytes = cursor.files.values().sum();
        page.gauge(
            "log_archive_bytes",
            "Size of a service's archived logs.",
            &labels,
            number(bytes),
        );
        let gaps = number(cursor.gaps);
        page.counter(
            "log_gaps_total",
            "Places in archived logs where lines may be missing.",
            &labels,
            gaps,
        );
        let stamps = cursor.containers.values().map(|position| position.stamp.as_str());
        if let Some(last) = stamps.max().and_then(|stamp| stamp.parse::<Timestamp>().ok()) {
            let help = "Time stamp of the last line that was archived.";
            page.gauge("log_archive_last_line_timestamp_seconds", help, &labels, last.as_second());
        }
    }
    Ok(())
}

fn offline_images(page: &mut Page, stack: &Stack) -> Result<()> {
    let containers = container::of_project(&stack.project())?;
    for service in &stack.definition.services {
        let container = containers.iter().find(|it| it.service() == Some(&service.name));
        if let Some(container) = container {
            let is_offline = service.is_offline_image(&container.config.image);
            let labels = [("stack", stack.name()), ("service", service.name.as_str())];
            let help = "Whether a service runs on an offline image, not on the pinned one.";
            page.gauge("offline_image", help, &labels, i64::from(is_offline));
        }
    }
    Ok(())
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
