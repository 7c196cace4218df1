//! `cargo xtask urls`.

use anyhow::Result;
use serde::Serialize;

use crate::context::Context;
use crate::docker::container;
use crate::process::quote;
use crate::report::advice::Xtask;
use crate::report::finding::Finding;
use crate::report::table::{self, Cell};
use crate::stack::Stack;

/// Print the endpoints of a stack, secrets masked
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack; every stack if left out
    stack: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// How endpoints are printed.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Form {
    /// Show passwords
    #[arg(long)]
    reveal: bool,
    /// Print shell exports such as DATABASE_URL; eval "$(cargo xtask urls dev --export --reveal)"
    #[arg(long, requires = "reveal", conflicts_with = "json")]
    export: bool,
}

#[derive(Serialize)]
struct Line {
    stack: String,
    service: String,
    name: String,
    variable: String,
    url: String,
    host: String,
    port: u16,
}

impl Args {
    /// Prints the endpoints. Where no stack is named, those of the stacks that have some.
    ///
    /// # Errors
    /// When a variable is missing in `.env`.
    pub fn run(self, cx: &Context) -> Result<()> {
        let mut stacks = cx.stacks(self.stack.as_deref())?;
        if self.stack.is_none() && stacks.iter().any(|stack| lines(stack, self.form).is_ok()) {
            stacks.retain(|stack| match lines(stack, self.form) {
                Ok(_) => true,
                Err(error) => {
                    cx.report.finding(&Finding::of_error("env.missing", &error));
                    false
                }
            });
        }
        print(cx, &stacks, self.form)?;
        for stack in &stacks {
            warn_of_down(cx, stack);
        }
        Ok(())
    }
}

/// Whoever asks for endpoints is about to use them.
fn warn_of_down(cx: &Context, stack: &Stack) {
    // An engine that does not answer runs nothing.
    let containers = cx.containers(stack).unwrap_or_default();
    let active = stack.active().into_iter().filter(|service| !service.endpoints.is_empty());
    let down: Vec<_> = active
        .filter(|service| container::running(&containers, &service.name).is_none())
        .map(|service| service.name.as_str())
        .collect();
    if !down.is_empty() {
        let (verb, up) = (if down.len() == 1 { "is" } else { "are" }, Xtask::Up(stack.on()));
        cx.report.warning(format!("{} {verb} down: {up}", down.join(", ")));
    }
}

fn lines(stack: &Stack, form: Form) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for service in &stack.definition.services {
        for endpoint in &service.endpoints {
            let url = stack.url(&endpoint.url)?;
            lines.push(Line {
                stack: stack.name().to_owned(),
                service: service.name.clone(),
                name: endpoint.name.clone(),
                variable: endpoint.variable.clone(),
                host: url.host.clone(),
                port: url.port,
                url: if form.reveal { url.reveal() } else { url.to_string() },
            });
        }
    }
    Ok(lines)
}

/// Prints the endpoints of `stacks`.
///
/// # Errors
/// When a variable is missing in `.env`.
pub fn print(cx: &Context, stacks: &[Stack], form: Form) -> Result<()> {
    let mut all = Vec::new();
    for stack in stacks {
        all.extend(lines(stack, form)?);
    }
    let lines = all;
    let text: Vec<String> = if form.export {
        lines.iter().map(|line| format!("export {}={}", line.variable, quote(&line.url))).collect()
    } else {
        let rows: Vec<Vec<Cell>> = lines
            .iter()
            .map(|line| {
                vec![line.service.clone().into(), line.name.clone().into(), line.url.clone().into()]
            })
            .collect();
        table::lines(&["SERVICE", "ENDPOINT", "URL"], &rows)
    };
    let document = serde_json::json!({ "endpoints": lines });
    match (cx.report.is_json(), form.reveal) {
        (true, true) => cx.report.revealed_document("xtask.urls/v1", &document)?,
        (true, false) => cx.report.document("xtask.urls/v1", &document)?,
        (false, true) => cx.report.revealed(text.join("\n")),
        (false, false) => cx.report.line(text.join("\n")),
    }
    if !form.reveal {
        let command = match stacks {
            [stack] => Xtask::UrlsRevealOn(stack.on()),
            _ => Xtask::UrlsReveal,
        };
        cx.report.progress(format!("Passwords are masked; this shows them: {command}"));
    }
    Ok(())
}
