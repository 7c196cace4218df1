//! What can be checked without starting a stack. A new check is an entry of `CHECKS`.

mod committed;
mod compose;
pub mod dashboards;
mod manifest;
pub mod promql;
pub mod rules;

use anyhow::Result;

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
    ("secret.committed", committed::no_secrets),
];

/// Runs every check, side by side. One that cannot be made is a finding itself.
pub fn run(cx: &Context) -> Vec<Finding> {
    std::thread::scope(|scope| {
        let running: Vec<_> =
            CHECKS.iter().map(|(id, check)| (id, scope.spawn(move || check(cx)))).collect();
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
    })
}

/// `path` as seen from the repository's root, for findings.
fn relative(cx: &Context, path: &std::path::Path) -> String {
    path.strip_prefix(&cx.root).unwrap_or(path).display().to_string()
}
