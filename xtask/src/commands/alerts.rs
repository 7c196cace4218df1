//! `cargo xtask alerts`: what has a page of its own is in `alerts/`.

mod list;
mod silence;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::json;

use crate::alerts::rules::{self, Rule};
use crate::alerts::send_test::{Alertmanager, Outcome};
use crate::alerts::{self, Told};
use crate::check::rules::docs_url;
use crate::client::Unanswered;
use crate::configuration;
use crate::context::Context;
use crate::docker::container;
use crate::docker::engine::Engine;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::table::{self, Cell};
use crate::report::{BAD, DIM, GOOD};
use crate::setup::generated;
use crate::stack::Stack;
use crate::stack::manifest::{Probe, Service};
use crate::stack::url::Url;

/// List and silence alerts, send test notifications, render AlertManager's configuration
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::Args),
    Silence(silence::Args),
    Unsilence(silence::End),
    /// Send a test alert through the running AlertManager and say whether it arrived
    SendTest {
        /// The channel's name in notifications.toml; every channel if left out
        #[arg(long)]
        channel: Option<String>,
        /// Longest wait for each channel, in seconds
        #[arg(long, default_value_t = 30, value_name = "SECONDS")]
        timeout: u64,
    },
    /// Make AlertManager's configuration from notifications.toml and load it
    ///
    /// Replaces nothing that amtool does not accept. With --dry-run the configuration is printed,
    /// secrets masked.
    Render,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// When a server does not answer, the notifications are broken, or a test does not arrive.
    pub fn run(self, cx: &Context) -> Result<()> {
        Engine::ask()?;
        let stacks = cx.stacks_whatever_env_says(None)?;
        let stack = stacks.iter().find(|stack| alerts::notifier(stack).is_some());
        let stack = cx.stack(stack.context("no stack in stacks.toml has notifications")?.name())?;
        if stack.env.text().is_none() {
            let found = format!("the {} stack is not set up", stack.name());
            return Err(Problem::prerequisite("env.missing", found)
                .mend(Xtask::Up(stack.on()))
                .into());
        }
        match self.action {
            Action::List(args) => args.run(cx, &stack),
            Action::Silence(args) => args.run(cx, &stack),
            Action::Unsilence(args) => args.run(cx, &stack),
            Action::SendTest { channel, timeout } => {
                send_test(cx, &stack, channel.as_deref(), Duration::from_secs(timeout))
            }
            Action::Render => render(cx, &stack),
        }
    }
}

fn silent(stack: &Stack, service: &str, why: &Unanswered) -> Problem {
    Problem::prerequisite("service.not-ready", format!("{service} does not answer: {why}"))
        .mend(Xtask::Up(stack.on()))
}

/// Where AlertManager answers.
fn alertmanager(stack: &Stack) -> Result<Url> {
    let service = alerts::notifier(stack).context("no service tells people of alerts")?;
    stack.url(&service.endpoints.first().context("AlertManager has no endpoint")?.url)
}

/// Every alert that there is a rule for.
fn all_rules(stack: &Stack) -> Result<Vec<Rule>> {
    let endpoints = stack.definition.services.iter().flat_map(|service| &service.endpoints);
    let prometheus = endpoints
        .filter(|endpoint| matches!(endpoint.probe, Some(Probe::Prometheus)))
        .map(|endpoint| stack.url(&endpoint.url))
        .next();
    let url = prometheus.context("no service in stacks.toml has rules")??;
    Ok(rules::list(&url).map_err(|why| silent(stack, "prometheus", &why))?)
}

fn told(stack: &Stack) -> Result<(&Service, Told)> {
    let service = alerts::notifier(stack).context("no service tells people of alerts")?;
    let told = alerts::for_service(stack, service)?.context("no service tells people of alerts")?;
    Ok((service, told))
}

fn render(cx: &Context, stack: &Stack) -> Result<()> {
    let _lock = cx.lock(stack, "alerts render")?;
    cx.remove_leftovers(&stack.project())?;
    let (service, told) = told(stack)?;
    if cx.dry_run {
        cx.report.line(told.config());
    }
    let containers = cx.containers(stack)?;
    let runs = container::running(&containers, &service.name).is_some();
    if runs {
        configuration::refuse_broken(cx, stack, &containers)?;
    }
    let plan = generated::plan(stack)?;
    if plan.is_empty() && !cx.dry_run {
        cx.report.done("AlertManager's configuration is what notifications.toml says");
    } else {
        cx.execute(plan)?;
    }
    if cx.dry_run || !runs {
        return Ok(());
    }
    configuration::load(cx, stack)
}

fn send_test(cx: &Context, stack: &Stack, only: Option<&str>, limit: Duration) -> Result<()> {
    let (service, told) = told(stack)?;
    let channels = chosen(&told, only)?;
    if cx.dry_run {
        return announce(cx, &channels);
    }
    let alertmanager = running(cx, stack, service)?;
    let known = alertmanager.receivers().map_err(|why| silent(stack, &service.name, &why))?;
    if let Some((_, name)) = channels.iter().find(|(_, name)| !known.iter().any(|k| k == name)) {
        let found = format!("AlertManager does not know the channel `{name}` yet");
        let problem = Problem::failed("notifications.not-loaded", found);
        return Err(problem.mend(Xtask::AlertsRender).into());
    }
    if !generated::plan(stack)?.is_empty() {
        let render = Xtask::AlertsRender;
        cx.report.warning(format!("the notifications have changed since AlertManager loaded them; {render} has it load them"));
    }
    let mut outcomes = Vec::new();
    for (kind, name) in channels {
        cx.report.progress(format!("sending a test alert through {name} ({kind})"));
        outcomes.push(alertmanager.send_test(kind, name, limit)?);
    }
    let rows: Vec<_> = outcomes.iter().map(outcome_row).collect();
    cx.report
        .line(table::lines(&["CHANNEL", "KIND", "DELIVERED", "TIME", "ERROR"], &rows).join("\n"));
    cx.report.document("xtask.alerts-test/v1", &json!({ "channels": outcomes }))?;
    let failed: Vec<_> =
        outcomes.iter().filter(|o| !o.delivered).map(|o| o.channel.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let found =
        format!("{} of {} channels failed: {}", failed.len(), outcomes.len(), failed.join(", "));
    Err(Problem::failed("notifications.undelivered", found)
        .mend("docs/notifications.md says what each error means")
        .into())
}

fn chosen<'a>(told: &'a Told, only: Option<&str>) -> Result<Vec<(&'static str, &'a str)>> {
    let all = told.notifications.channels();
    if all.is_empty() {
        return Err(Problem::failed("notifications.none", "there is no channel to test")
            .mend("docs/notifications.md leads to a first message in five minutes")
            .into());
    }
    let Some(only) = only else { return Ok(all) };
    let names: Vec<_> = all.iter().map(|(_, name)| *name).collect();
    let chosen: Vec<_> = all.iter().filter(|(_, name)| *name == only).copied().collect();
    if chosen.is_empty() {
        return Err(Problem::usage(
            "notifications.unknown-channel",
            format!("there is no channel `{only}`"),
        )
        .mend(format!("one of: {}", names.join(", ")))
        .into());
    }
    Ok(chosen)
}

fn announce(cx: &Context, channels: &[(&str, &str)]) -> Result<()> {
    let what = |(kind, name): &(&str, &str)| format!("send a test alert through {name} ({kind})");
    let request = "POST /api/v2/alerts";
    for channel in channels {
        cx.report.line(format!("would: {}", what(channel)));
        cx.report.line(format!("       {DIM}{request}{DIM:#}"));
    }
    let steps = channels.iter().map(|channel| json!({ "what": what(channel), "command": request }));
    cx.report.document("xtask.plan/v1", &json!({ "steps": steps.collect::<Vec<_>>() }))
}

fn running(cx: &Context, stack: &Stack, service: &Service) -> Result<Alertmanager> {
    let containers = cx.containers(stack)?;
    let container = container::running(&containers, &service.name);
    let not_there = || {
        Problem::prerequisite("service.not-running", format!("{} does not run", service.name))
            .mend(Xtask::Up(stack.on()))
    };
    let container = container.ok_or_else(not_there)?.id.clone();
    let endpoint = service.endpoints.first().context("AlertManager has no endpoint")?;
    Ok(Alertmanager { url: stack.url(&endpoint.url)?, container, docs_url: docs_url(&cx.root)? })
}

fn outcome_row(outcome: &Outcome) -> Vec<Cell> {
    let delivered =
        if outcome.delivered { Cell::styled("yes", GOOD) } else { Cell::styled("no", BAD) };
    vec![
        outcome.channel.as_str().into(),
        outcome.kind.into(),
        delivered,
        format!("{:.1} s", outcome.seconds).into(),
        outcome.error.clone().unwrap_or_default().into(),
    ]
}
