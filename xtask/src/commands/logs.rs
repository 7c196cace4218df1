//! `cargo xtask logs`.

use std::sync::mpsc;

use anstyle::{AnsiColor, Style};
use anyhow::Result;

use crate::context::Context;
use crate::docker::container::Container;
use crate::process::Cmd;
use crate::report::finding::Problem;

/// Print what the services of a stack have logged, in the order of time
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack
    stack: String,
    /// The services; all where they are left out
    services: Vec<String>,
    /// Go on printing new lines
    #[arg(long, short)]
    follow: bool,
    /// Only the last lines of each service
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
}

const COLORS: [AnsiColor; 5] =
    [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Green, AnsiColor::Yellow, AnsiColor::Blue];

struct Source {
    name: String,
    style: Style,
    cmd: Cmd,
}

impl Args {
    /// Prints the lines on stdout, secrets masked.
    ///
    /// # Errors
    /// When a service is unknown, nothing is there, or the engine cannot read a log back.
    pub fn run(self, cx: &Context) -> Result<()> {
        let mut sources = Vec::new();
        for stack in cx.stacks(Some(&self.stack))? {
            for name in &self.services {
                stack.service(name)?;
            }
            let containers = cx.containers(&stack)?;
            for container in &containers {
                let service = container.service().unwrap_or(container.name());
                if self.services.is_empty() || self.services.iter().any(|name| name == service) {
                    sources.push(self.source(container, service, sources.len()));
                }
            }
        }
        if sources.is_empty() {
            return Err(Problem::failed(
                "stack.not-up",
                format!("{} has no containers, so there are no logs", self.stack),
            )
            .mend(format!("cargo xtask up {}", self.stack))
            .into());
        }
        let width = sources.iter().map(|source| source.name.len()).max().unwrap_or(0);
        if self.follow { follow(cx, sources, width) } else { print(cx, &sources, width) }
    }

    fn source(&self, container: &Container, service: &str, index: usize) -> Source {
        let mut cmd = Cmd::new("docker").args(["logs", "--timestamps"]);
        if self.follow {
            cmd = cmd.arg("--follow");
        }
        if let Some(tail) = self.tail {
            cmd = cmd.args(["--tail", &tail.to_string()]);
        }
        Source {
            name: service.to_owned(),
            style: COLORS[index % COLORS.len()].on_default(),
            cmd: cmd.arg(&container.id),
        }
    }
}

fn print(cx: &Context, sources: &[Source], width: usize) -> Result<()> {
    let mut lines = Vec::new();
    for source in sources {
        source.cmd.each_line(|line| lines.push((line.to_owned(), source)))?;
    }
    // The engine's stamps all have one width, so text sorts as time does.
    lines.sort_by(|(a, _), (b, _)| stamp(a).cmp(stamp(b)));
    for (line, source) in lines {
        show(cx, source, &line, width);
    }
    Ok(())
}

fn follow(cx: &Context, sources: Vec<Source>, width: usize) -> Result<()> {
    let (sender, lines) = mpsc::channel();
    std::thread::scope(|scope| {
        let readers: Vec<_> = sources
            .iter()
            .map(|source| {
                let sender = sender.clone();
                scope.spawn(move || {
                    source.cmd.each_line(|line| drop(sender.send((line.to_owned(), source))))
                })
            })
            .collect();
        drop(sender);
        for (line, source) in lines {
            show(cx, source, &line, width);
        }
        readers.into_iter().filter_map(|reader| reader.join().ok()).collect()
    })
}

fn stamp(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(stamp, _)| stamp)
}

fn show(cx: &Context, source: &Source, line: &str, width: usize) {
    let Source { name, style, .. } = source;
    let (stamp, text) = line.split_once(' ').unwrap_or((line, ""));
    cx.report.line(format!("{style}{name:width$}{style:#} {stamp} {text}"));
}
