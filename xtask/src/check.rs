//! What can be checked without starting a stack. A new check is an entry of `CHECKS`.

mod committed;
mod compose;
pub mod dashboards;
mod kept;
mod manifest;
mod paths;
pub mod promql;
pub mod rules;
mod typed;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use anyhow::Result;

use self::kept::Kept;
pub use self::typed::Understands;
use crate::context::Context;
use crate::report::finding::Finding;

type Check = (&'static str, fn(&Context) -> Result<Vec<Finding>>);

/// In the order in which they are reported. Each returns what it found, at least one finding.
const CHECKS: &[Check] = &[
    ("manifest.agrees", manifest::agrees_with_compose_files),
    ("compose.variables", compose::variables_agree),
    ("compose.overlay", compose::overlays_keep_flags),
    ("compose.valid", compose::valid_for_every_compose),
    ("dashboard.agrees", dashboards::agree),
    ("rules.complete", rules::alerts_are_complete),
    ("rules.stated", rules::thresholds_are_as_stated),
    ("rules.cases", rules::every_alert_has_its_cases),
    ("rules.promtool", rules::accepts_rules_and_cases),
    ("files.typed", typed::every_file_is_read),
    ("files.readable", paths::containers_can_read),
    ("images.offline", paths::offline_images_can_be_built),
    ("secret.committed", committed::no_secrets),
];

/// What can be asked for alone: every check's id.
pub fn ids() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(id, _)| *id).chain([typed::JOBS])
}

/// Runs the checks called `only`, or all where it names none, side by side. One that cannot be made is
/// a finding itself. `understands` is the parser of our command line, which is above this module.
pub fn run(cx: &Context, only: &[String], understands: Understands) -> Vec<Finding> {
    let is_chosen = |id: &str| only.is_empty() || only.iter().any(|chosen| chosen == id);
    let chosen: Vec<_> = CHECKS.iter().filter(|(id, _)| is_chosen(id)).collect();
    let mut findings: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> =
            chosen.into_iter().map(|(id, check)| (id, scope.spawn(move || check(cx)))).collect();
        running
            .into_iter()
            .flat_map(|(id, check)| match check.join() {
                Ok(Ok(findings)) => findings,
                Ok(Err(error)) => {
                    vec![Finding::error(id, format!("could not be checked: {error:#}"))]
                }
                Err(_) => vec![Finding::error(id, "could not be checked: the check panicked")],
            })
            .collect()
    });
    if is_chosen(typed::JOBS) {
        findings.extend(typed::jobs_are_commands(&cx.manifest.jobs, understands));
    }
    findings
}

/// The answers that were kept of earlier runs.
fn kept_answers(cx: &Context) -> Kept {
    Kept::below(&cx.state_folder(), !cx.dry_run)
}

/// What `work` makes of each item, in their order; one item at a time on each processor.
fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        std::iter::from_fn(|| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, work(item)))
        })
        .collect::<Vec<_>>()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(worker)).collect();
        let done = |worker: ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        workers.into_iter().flat_map(done).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// `path` as seen from the repository's root, for findings.
fn relative(cx: &Context, path: &std::path::Path) -> String {
    path.strip_prefix(&cx.root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_side_by_side_stays_in_order_and_a_panic_is_not_lost() {
        let items: Vec<u64> = (0..100).collect();
        assert_eq!(side_by_side(&items, |item| item + 1), (1..=100).collect::<Vec<_>>());
        let panics = || side_by_side(&items, |item| assert_ne!(*item, 50));
        assert!(std::panic::catch_unwind(panics).is_err());
    }

    #[test]
    fn every_check_has_its_own_id() {
        let once: std::collections::BTreeSet<_> = ids().collect();
        assert_eq!(once.len(), ids().count());
    }
}
