//! Images: there, to be pulled, or stand-ins?

use anyhow::Result;

use super::facts::Facts;
use crate::docker::image;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Finding;
use crate::report::units::count;
use crate::stack::Stack;

/// Nothing is pulled; whether it could be is asked of Docker Hub alone, where the pinned images are.
pub(super) fn present(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let present = facts.images()?;
    let (mut to_build, mut to_pull) = (Vec::new(), Vec::new());
    for service in stack.active() {
        let image = stack.image(service)?;
        if present.contains(&image) {
            continue;
        }
        if stack.is_offline(service) { to_build.push(image) } else { to_pull.push(image) }
    }
    let mut findings = Vec::new();
    if !to_build.is_empty() {
        let found = format!("offline images are not built yet: {}", to_build.join(", "));
        findings.push(Finding::warning("images.present", found).mend(Xtask::ImagesBuild));
    }
    if !to_pull.is_empty() {
        let missing = format!("{} missing: {}", count(to_pull.len(), "image"), to_pull.join(", "));
        let offline = Xtask::UpOffline(stack.on());
        let finding = match image::hub_answers() {
            true => Finding::warning("images.present", missing)
                .mend(format!("nothing to do: {} pulls what is missing", Xtask::Up(stack.on()))),
            false => Finding::warning(
                "images.present",
                format!(
                    "{missing}; Docker Hub does not answer the engine, so they cannot be pulled"
                ),
            )
            .mend(
                Advice::from(format!("build images from Debian's packages: {offline}"))
                    .or("leave it, if the engine has a mirror"),
            ),
        };
        findings.push(finding);
    }
    if findings.is_empty() {
        findings.push(Finding::ok("images.present", "every image is there"));
    }
    Ok(findings.into_iter().map(|finding| finding.about(stack.name())).collect())
}

pub(super) fn offline(facts: &Facts<'_>, stack: &Stack) -> Result<Vec<Finding>> {
    let on_offline = stack.active().into_iter().filter(|service| stack.is_offline(service));
    let names: Vec<_> = on_offline.map(|service| service.name.as_str()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let found = format!("{} on offline images, not on the real ones", names.join(", "));
    let mend = format!(
        "to use the real ones, remove the *_IMAGE lines from {}",
        facts.shown(stack.env.path())
    );
    Ok(vec![Finding::warning("images.offline", found).mend(mend).about(stack.name())])
}
