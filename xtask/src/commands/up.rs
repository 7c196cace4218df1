//! `cargo xtask up`.

use std::time::Duration;

use anyhow::Result;

use crate::commands::urls;
use crate::context::Context;
use crate::docker::compose::Compose;
use crate::docker::{container, engine, image};
use crate::doctor;
use crate::offline;
use crate::plan::Plan;
use crate::process::ProcessError;
use crate::ready::wait::until_ready;
use crate::report::finding::Problem;
use crate::setup::{kind, prepare};
use crate::stack::Stack;

/// Set up if needed, start, wait until every service answers, print the endpoints
///
/// A second `up` recreates nothing that runs as configured.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack
    stack: String,
    /// Use the offline images: build those that are missing, and write the choice into .env
    #[arg(long)]
    offline: bool,
    /// First mend what is safe to mend, as `doctor --fix` does
    #[arg(long)]
    fix: bool,
    /// Longest wait for the services to answer, in seconds
    #[arg(long, default_value_t = 180, value_name = "SECONDS")]
    timeout: u64,
}

impl Args {
    /// Starts the stacks one after the other.
    ///
    /// # Errors
    /// When a prerequisite is missing, a step fails, or a service does not answer in time.
    pub fn run(self, cx: &Context) -> Result<()> {
        let stacks = cx.stacks(Some(&self.stack))?;
        if self.fix {
            doctor::fix::mend_machine(cx, self.offline)?;
        }
        engine::require()?;
        for stack in stacks {
            self.up(cx, stack)?;
        }
        Ok(())
    }

    fn up(&self, cx: &Context, stack: Stack) -> Result<()> {
        let _lock = cx.lock(&stack, &format!("up {}", self.stack))?;
        cx.remove_leftovers(&stack.project())?;
        let stack = cx.reload(&stack)?;
        doctor::refuse_unfit(cx, &stack)?;
        match self.start(cx, &stack, self.offline) {
            Err(error) if error.is::<NoRegistry>() => {
                let question = "No registry can be reached. Build offline images instead (see tests/images/README.md)?";
                if self.offline || !cx.report.confirm(question) {
                    return Err(no_registry(&error, &self.stack).into());
                }
                self.start(cx, &stack, true)
            }
            outcome => outcome,
        }
    }

    fn start(&self, cx: &Context, stack: &Stack, offline: bool) -> Result<()> {
        let (setup, stack) = prepare(cx.reload(stack)?, offline)?;
        let containers = cx.containers(&stack)?;
        let compose =
            Compose::choose(&Compose::discover(), &containers, &cx.manifest.requirements.compose)?;
        let mut plan = images_plan(cx, &stack)?;
        plan.append(setup);
        plan.append(kind::plan(&stack)?);
        if cx.dry_run {
            plan.run(format!("start {} with {compose}", stack.name()), compose.up(&stack));
            return plan.print(&cx.report);
        }
        provide(cx, plan)?;
        // Only now is .env there, which Compose reads to say what is outdated.
        let mut plan = Plan::new();
        for (what, cmd) in container::removal(&compose.outdated(&stack, &containers)?) {
            plan.run(format!("{what} (configured otherwise)"), cmd);
        }
        plan.run(format!("start {} with {compose}", stack.name()), compose.up(&stack));
        plan.carry_out(&cx.report)?;
        let services: Vec<_> = stack.definition.services.iter().collect();
        until_ready(cx, &stack, &services, Duration::from_secs(self.timeout))?;
        warn_of_offline(cx, &stack);
        urls::print(cx, std::slice::from_ref(&stack), urls::Form::default())
    }
}

fn warn_of_offline(cx: &Context, stack: &Stack) {
    let offline: Vec<_> = stack
        .definition
        .services
        .iter()
        .filter(|service| stack.is_offline(service))
        .map(|service| service.name.as_str())
        .collect();
    if !offline.is_empty() {
        cx.report
            .warning(format!("on offline images, not the pinned ones: {}", offline.join(", ")));
    }
}

/// No registry can be reached to pull an image.
#[derive(Debug)]
struct NoRegistry {
    image: String,
    said: String,
}

impl std::fmt::Display for NoRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is missing here and cannot be pulled: {}", self.image, self.said)
    }
}

impl std::error::Error for NoRegistry {}

fn no_registry(error: &anyhow::Error, stack: &str) -> Problem {
    Problem::prerequisite("images.no-registry", error.to_string())
        .mend(format!("connect to a network with a registry; or build images from Debian's packages: cargo xtask up {stack} --offline"))
}

/// Pulls the images that are missing, and builds the offline ones.
///
/// # Errors
/// When the engine does not answer, or a program to build with is missing.
pub fn images_plan(cx: &Context, stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    let mut offline = Vec::new();
    for service in &stack.definition.services {
        let reference = stack.image(service)?;
        if stack.is_offline(service) {
            offline.push(service.clone());
        } else if image::present([reference.as_str()])?.is_empty() {
            plan.run(format!("pull {reference}"), image::pull(&reference));
        }
    }
    plan.append(offline::plan(cx, &offline)?);
    Ok(plan)
}

/// Carries out a plan that may pull images.
///
/// # Errors
/// [`NoRegistry`] when that cannot be done, or the first step's that fails.
fn provide(cx: &Context, plan: Plan) -> Result<()> {
    cx.execute(plan).map_err(|error| match unreachable_registry(&error) {
        Some(found) => found.into(),
        None => error,
    })
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
