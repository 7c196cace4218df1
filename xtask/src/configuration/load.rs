//! Has a running service take its changed configuration, and shows that it did.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};

use super::{folder_changed_at, generated_changed_at};
use crate::client::{Unanswered, http};
use crate::context::Context;
use crate::docker::container::{self, Container};
use crate::docker::docker;
use crate::plan::Plan;
use crate::process::check_interrupted;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::stack::Stack;
use crate::stack::manifest::{Load, Service};
use crate::stack::url::Url;

/// Longest that a service may take to load its configuration.
const LOADING: Duration = Duration::from_secs(60);

/// A running service that has not loaded what it should have.
#[derive(Debug)]
pub(super) struct Change<'a> {
    service: &'a Service,
    container: &'a Container,
    how: How<'a>,
}

#[derive(Debug)]
enum How<'a> {
    Signal { metric: &'a str, before: Loaded },
    Script { secret: &'a str, script: &'a str },
    Restart,
}

/// What a service says of the last time it loaded its configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Loaded {
    is_good: bool,
    /// Seconds since 1970, when it last succeeded.
    at: f64,
}

impl<'a> Change<'a> {
    /// What makes `container` take what has changed, if anything has.
    pub(super) fn of(
        stack: &Stack,
        service: &'a Service,
        container: &'a Container,
    ) -> Result<Option<Self>> {
        let change = |how| Ok(Some(Self { service, container, how }));
        let started = container.started_at();
        let after = |changed: Option<SystemTime>, loaded: Option<SystemTime>| {
            changed.is_some_and(|changed| loaded.is_none_or(|loaded| changed > loaded))
        };
        let generated = generated_changed_at(stack, service)?;
        if service.generated.as_ref().is_some_and(|files| files.restart)
            && after(generated, started)
        {
            return change(How::Restart);
        }
        let Some(configuration) = &service.configuration else { return Ok(None) };
        let changed = folder_changed_at(stack, service)?.max(generated);
        if !after(changed, started) {
            return Ok(None);
        }
        match &configuration.load {
            Load::Restart => change(How::Restart),
            Load::Script { secret, script } => change(How::Script { secret, script }),
            Load::Signal { metric } => {
                let before = loaded(stack, service, metric)?;
                let at = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(before.at.max(0.0));
                if before.is_good && !after(changed, Some(at)) {
                    return Ok(None);
                }
                change(How::Signal { metric, before })
            }
        }
    }

    /// Adds to `plan` what makes the service take it.
    ///
    /// # Errors
    /// When a password is missing.
    pub(super) fn plan(&self, stack: &Stack, plan: &mut Plan) -> Result<()> {
        let name = &self.service.name;
        match self.how {
            How::Signal { .. } => plan.run(
                format!("tell {name} to load its changed configuration"),
                container::hang_up(&[self.container]),
            ),
            How::Script { secret, script } => {
                let password = stack.env.get(secret);
                let password = password.with_context(|| format!("{secret} is not set"))?;
                let exec = ["exec", "--interactive", &self.container.id, "sh", "-euc", script];
                plan.run(
                    format!("have {name} load its changed configuration"),
                    docker().args(exec).stdin(password),
                );
            }
            How::Restart => plan.run(
                format!("restart {name}, which reads what has changed only then"),
                container::restart(&[self.container]),
            ),
        }
        Ok(())
    }

    /// Waits until the service says that it has taken it.
    ///
    /// # Errors
    /// A problem when it refuses it or says nothing in time.
    pub(super) fn prove(&self, cx: &Context, stack: &Stack) -> Result<()> {
        // The others end with an error of their own.
        let How::Signal { metric, before } = self.how else { return Ok(()) };
        let name = &self.service.name;
        let start = Instant::now();
        loop {
            check_interrupted()?;
            let now = loaded(stack, self.service, metric)?;
            if now.is_good && now.at > before.at {
                cx.report.done(format!("{name} has loaded its changed configuration"));
                return Ok(());
            }
            let refused = !now.is_good && before.is_good;
            if refused || start.elapsed() > LOADING {
                let why = if refused { "refuses" } else { "has not loaded" };
                return Err(Problem::failed(
                    "configuration.not-loaded",
                    format!("{name} {why} its changed configuration; the old one keeps working"),
                )
                .mend(Xtask::Logs(stack.on(), name.to_owned()))
                .into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Its metrics, waited for: it may just have been started.
fn metrics(stack: &Stack, service: &Service, url: &Url) -> Result<String> {
    let start = Instant::now();
    loop {
        check_interrupted()?;
        match http::get(url, "/metrics") {
            Ok(text) => return Ok(text),
            Err(Unanswered::NotYet(_)) if start.elapsed() < LOADING => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(why) => {
                let name = &service.name;
                let found = format!("{name} does not give its metrics: {why}");
                return Err(Problem::failed("service.no-metrics", found)
                    .mend(Xtask::Logs(stack.on(), name.to_owned()))
                    .into());
            }
        }
    }
}

fn loaded(stack: &Stack, service: &Service, metric: &str) -> Result<Loaded> {
    let name = &service.name;
    let endpoint = service.endpoints.first();
    let endpoint = endpoint.with_context(|| format!("{name} has no endpoint for its metrics"))?;
    let text = metrics(stack, service, &stack.url(&endpoint.url)?)?;
    let value = |suffix: &str| {
        let name = format!("{metric}_{suffix} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse::<f64>().ok())
    };
    let is_good = value("successful").map(|value| value == 1.0);
    let (Some(is_good), Some(at)) = (is_good, value("success_timestamp_seconds")) else {
        anyhow::bail!("{name} has no metrics {metric}_successful and _success_timestamp_seconds");
    };
    Ok(Loaded { is_good, at })
}
