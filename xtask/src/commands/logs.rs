//! `cargo xtask logs`.

use std::sync::mpsc;

use anstyle::{AnsiColor, Style};
use anyhow::Result;

use crate::context::Context;
use crate::docker::container::Container;
use crate::logs::cursor::Position;
use crate::logs::entry::Origin;
use crate::logs::follow::follow;
use crate::logs::join::Line;
use crate::logs::read::{self, Pattern, Query, Source};
use crate::logs::rotate::{self, Task};
use crate::logs::when::When;
use crate::report::WARNING;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::report::printable::plain;

/// Print the logs of a stack's services in order of time
///
/// Joins the archive that `rotate-logs` keeps with what the engine still has. Times are UTC.
/// With --json, each line is a document of its own, with the schema `xtask.log-line/v1`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack
    stack: String,
    /// The services; all if left out
    services: Vec<String>,
    /// Go on printing new lines
    #[arg(long, short)]
    follow: bool,
    /// Only the last lines of each service
    #[arg(long, short = 'n', value_name = "LINES")]
    tail: Option<usize>,
    /// Only lines from this time on: `10m`, `2h`, `3d` ago, 07:40, yesterday, 2026-11-23T13:05
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only lines before this time
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<When>,
    /// Only lines that contain this text or match this regular expression
    #[arg(long, value_name = "PATTERN")]
    grep: Option<Pattern>,
}

const COLORS: [AnsiColor; 5] =
    [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Green, AnsiColor::Yellow, AnsiColor::Blue];

/// How the lines of a service are shown.
struct Service {
    stack: String,
    name: String,
    style: Style,
    task: Task,
}

impl Args {
    /// Prints the lines on stdout, secrets masked.
    ///
    /// # Errors
    /// When a service is unknown, nothing is there, or a log cannot be read.
    pub fn run(self, cx: &Context) -> Result<()> {
        let (stack, names) = cx.take_service(&self.stack, &self.services);
        let services = services(cx, &stack, &names)?;
        let query =
            Query { since: self.since, until: self.until, grep: self.grep, tail: self.tail };
        let mut sources = Vec::new();
        let mut damage = Vec::new();
        for (number, service) in services.iter().enumerate() {
            let containers: Vec<_> = service.task.containers.iter().collect();
            let (found, warnings) =
                read::sources(number, &service.task.folder, &containers, &query)?;
            sources.extend(found);
            damage.extend(warnings);
        }
        let width = services.iter().map(|service| service.name.len()).max().unwrap_or(0);
        let show = |service: usize, line: Line| show(cx, &services[service], &line, width);
        damage.extend(read::merge(&mut sources, &query, show)?);
        damage.iter().for_each(|damage| cx.report.warning(damage));
        if self.follow {
            let query = Query { tail: None, ..query };
            follow_all(cx, &services, &sources, &query, width)?;
        }
        if damage.is_empty() {
            return Ok(());
        }
        Err(Problem::failed("logs.damaged", "parts of the archive could not be read; see above")
            .mend("zstd --test the file, and bring it back from a backup; the rest stays readable")
            .into())
    }
}

fn services(cx: &Context, word: &str, names: &[String]) -> Result<Vec<Service>> {
    let mut services: Vec<Service> = Vec::new();
    let stacks = cx.stacks(Some(word))?;
    for stack in &stacks {
        let tasks = rotate::tasks(stack, cx.containers(stack)?)?;
        for name in names {
            if tasks.iter().all(|task| task.service != **name) {
                stack.service(name)?;
            }
        }
        for task in tasks {
            if names.is_empty() || names.iter().any(|name| task.service == **name) {
                let style = COLORS[services.len() % COLORS.len()].on_default();
                let (stack, name) = (stack.name().to_owned(), task.service.clone());
                services.push(Service { stack, name: name.to_string(), style, task });
            }
        }
    }
    if services.is_empty() {
        let found = format!("{} has no containers and no archive, so there are no logs", word);
        let problem = Problem::failed("stack.not-up", found);
        let mend = stacks.iter().map(|stack| Xtask::Up(stack.on()));
        return Err(problem.mend(mend.fold(Advice::none(), Advice::or)).into());
    }
    Ok(services)
}

fn follow_all(
    cx: &Context,
    services: &[Service],
    sources: &[Source],
    query: &Query,
    width: usize,
) -> Result<()> {
    let (sender, lines) = mpsc::channel();
    std::thread::scope(|scope| {
        let followers: Vec<_> = running(services)
            .map(|(number, container)| {
                let sender = sender.clone();
                let position = position_in(sources, container);
                scope.spawn(move || {
                    follow(container, position, query, |line| drop(sender.send((number, line))))
                })
            })
            .collect();
        drop(sender);
        for (number, line) in lines {
            show(cx, &services[number], &line, width)?;
        }
        followers.into_iter().filter_map(|follower| follower.join().ok()).collect()
    })
}

fn running(services: &[Service]) -> impl Iterator<Item = (usize, &Container)> {
    let containers = services.iter().enumerate().flat_map(|(number, service)| {
        service.task.containers.iter().map(move |container| (number, container))
    });
    containers.filter(|(_, container)| container.is_running())
}

fn position_in<'a>(sources: &'a [Source], container: &Container) -> Option<&'a Position> {
    sources.iter().find(|source| source.container == container.id)?.position.as_ref()
}

fn show(cx: &Context, service: &Service, line: &Line, width: usize) -> Result<()> {
    let Service { stack, name, style, .. } = service;
    let Line { stamp, origin, text } = line;
    let text = String::from_utf8_lossy(text);
    if cx.report.is_json() {
        let stream = origin.word();
        let line = serde_json::json!({ "stack": stack, "service": name, "time": stamp, "stream": stream, "text": text });
        return cx.report.document_line("xtask.log-line/v1", &line);
    }
    let text = plain(&text);
    if *origin == Origin::Gap {
        cx.report
            .line(format!("{style}{name:width$}{style:#} {stamp} {WARNING}gap: {text}{WARNING:#}"));
    } else {
        cx.report.line(format!("{style}{name:width$}{style:#} {stamp} {text}"));
    }
    Ok(())
}
