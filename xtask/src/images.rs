//! The images that a stack needs: pulled, or built where the offline ones were chosen.

use anyhow::Result;

use crate::context::Context;
use crate::docker::image;
use crate::offline;
use crate::plan::Plan;
use crate::process::ProcessError;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// No registry can be reached to pull an image.
#[derive(Debug)]
pub struct NoRegistry {
    image: String,
    said: String,
}

impl std::fmt::Display for NoRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is missing here and cannot be pulled: {}", self.image, self.said)
    }
}

impl std::error::Error for NoRegistry {}

impl NoRegistry {
    /// What ends `up` of `stack`.
    pub fn problem(&self, stack: &Stack) -> Problem {
        Problem::prerequisite("images.no-registry", self.to_string()).mend(
            Advice::from("connect to a network with a registry").or(format!(
                "build images from Debian's packages: {}",
                Xtask::UpOffline(stack.on())
            )),
        )
    }
}

/// Pulls the images that are missing, and builds the offline ones.
///
/// # Errors
/// [`NoRegistry`] when they cannot be pulled; when the engine does not answer, or a program to
/// build with is missing.
pub fn provide(cx: &Context, stack: &Stack) -> Result<()> {
    let services = stack.active().into_iter().cloned();
    let (offline, pinned): (Vec<_>, Vec<_>) =
        services.partition(|service| stack.is_offline(service));
    let mut plan = Plan::new();
    for service in pinned {
        let reference = stack.image(&service)?;
        if image::get(&reference)?.is_none() {
            plan.run(format!("pull {reference}"), image::pull(&reference));
        }
    }
    if !plan.is_empty() {
        cx.execute(plan).map_err(|error| match unreachable_registry(&error) {
            Some(found) => found.into(),
            None => error,
        })?;
    }
    let is_default =
        |service: &Service| stack.image(service).is_ok_and(|image| image == service.offline_image);
    let to_build: Vec<_> = offline.into_iter().filter(is_default).collect();
    offline::build(cx, &to_build).map(drop)
}

fn unreachable_registry(error: &anyhow::Error) -> Option<NoRegistry> {
    const SIGNS: [&str; 8] = [
        "no such host",
        "dial tcp",
        "Client.Timeout",
        "connection refused",
        "network is unreachable",
        "TLS handshake timeout",
        "proxyconnect",
        "i/o timeout",
    ];
    let failed = error.chain().find_map(|cause| cause.downcast_ref::<ProcessError>())?;
    let image = failed.command.strip_prefix("docker pull ")?.to_owned();
    let said = failed.stderr.lines().last()?.to_owned();
    SIGNS.iter().any(|sign| said.contains(sign)).then_some(NoRegistry { image, said })
}
