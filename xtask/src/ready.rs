//! Is a service ready: does it answer, with the credentials of `.env`, and is what it needs there?

mod grafana;
mod prometheus;
pub mod wait;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::client::{self, Unanswered};
use crate::docker::container::Container;
use crate::host::files::below;
use crate::process::quote;
use crate::report::finding::Problem;
use crate::stack::Stack;
use crate::stack::manifest::{Endpoint, Probe, Service};

/// Asks what the endpoint's scheme stands for, and whatever else must hold before the service
/// counts as ready.
///
/// # Errors
/// Why there was no good answer.
pub fn ask(stack: &Stack, service: &Service, endpoint: &Endpoint) -> Result<(), Unanswered> {
    let url =
        stack.url(&endpoint.url).map_err(|error| Unanswered::Refused(format!("{error:#}")))?;
    match endpoint.probe {
        Some(Probe::Prometheus) => prometheus::ask(stack, service, &url),
        Some(Probe::Grafana) => grafana::ask(stack, service, &url),
        None => client::ask(&url, endpoint.probe_path.as_deref()),
    }
}

/// The ports that a running service has, and those it should have by `.env`, where they differ.
pub fn outdated_ports(
    stack: &Stack,
    container: &Container,
    service: &str,
) -> Option<(String, String)> {
    let published = stack.compose.published_ports(&stack.env).ok()?;
    let of_service = published.iter().filter(|port| port.service == service);
    let mut wanted: Vec<_> = of_service.map(|port| port.port).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let runs = container.host_ports();
    let words = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    // It may have others, which the engine chose.
    let lacks = wanted.iter().any(|port| !runs.contains(port));
    (container.is_running() && lacks).then(|| (words(&runs), words(&wanted)))
}

/// What is in the way where somebody has paused the container: neither does it answer, nor does every
/// Compose start it.
pub fn paused(container: &Container) -> Option<Problem> {
    let service = container.service().filter(|_| container.state.status == "paused")?;
    let unpause = format!("docker unpause {}", quote(container.name()));
    Some(Problem::failed("service.paused", format!("{service} is paused")).mend(unpause))
}

/// The files in `folder` with this ending.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Unanswered> {
    let all = below(folder).not_ready(folder)?;
    Ok(all.into_iter().filter(|path| path.extension().is_some_and(|own| own == ending)).collect())
}

/// What keeps us from knowing what should be there.
trait NotReady<T> {
    fn not_ready(self, path: &Path) -> Result<T, Unanswered>;
}

impl<T, E: fmt::Display> NotReady<T> for Result<T, E> {
    fn not_ready(self, path: &Path) -> Result<T, Unanswered> {
        self.map_err(|error| Unanswered::NotYet(format!("{}: {error}", path.display())))
    }
}
