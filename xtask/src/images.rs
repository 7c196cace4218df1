//! The images that a stack needs: pulled, or built where the offline ones were chosen.

mod pulling;
pub mod unpulled;

use anyhow::Result;

use self::pulling::Pulling;
use self::unpulled::Unpulled;
use crate::context::Context;
use crate::docker::image;
use crate::offline::{self, catalogue::Catalogue};
use crate::plan::Plan;
use crate::report::advice::Xtask;
use crate::report::units::count;
use crate::stack::Stack;

/// Pulls the images that are missing, and builds the offline ones. `again` is the command that needs
/// them.
///
/// # Errors
/// A problem when one cannot be pulled, [`unpulled::NO_REGISTRY`] where there is no registry; when
/// the engine does not answer, or a program to build with is missing.
pub fn provide(cx: &Context, stack: &Stack, again: &Xtask) -> Result<()> {
    let services = stack.active().into_iter().cloned();
    let (offline, pinned): (Vec<_>, Vec<_>) =
        services.partition(|service| stack.is_offline(service));
    let mut missing = Vec::new();
    for service in pinned {
        let reference = stack.image(&service)?;
        if image::get(&reference)?.is_none() {
            missing.push(reference);
        }
    }
    if !missing.is_empty() {
        let what = format!("pulling {}: {}", count(missing.len(), "image"), missing.join(", "));
        cx.report.progress(what);
        let mut plan = Plan::new();
        for reference in &missing {
            let progress = Box::new(Pulling::default());
            plan.run_with(format!("pull {reference}"), image::pull(reference), progress);
        }
        cx.execute(plan).map_err(|error| match Unpulled::of(&error) {
            Some(found) => found.problem(stack, again).into(),
            None => error,
        })?;
    }
    if offline.is_empty() {
        return Ok(());
    }
    let catalogue = Catalogue::load(&cx.root)?;
    let mut images = Vec::new();
    for service in &offline {
        images.push(catalogue.get(&stack.image(service)?)?.clone());
    }
    offline::build(cx, &images).map(drop)
}
