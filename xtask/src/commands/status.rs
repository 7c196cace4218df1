//! `cargo xtask status`.

use std::collections::BTreeMap;

use anstyle::Style;
use anyhow::{Result, bail};
use serde::Serialize;

use crate::context::Context;
use crate::docker::container::{self, Container};
use crate::docker::exec;
use crate::docker::stats::{self, Use};
use crate::quota::{self, NEAR};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::report::table::{self, Cell};
use crate::report::units::{Bytes, duration};
use crate::report::{BAD, DIM, GOOD, WARNING};
use crate::setup::recovered;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Show each service's state, health, memory, CPU, data, ports and image
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The stack; every stack if left out
    stack: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Line {
    stack: String,
    service: String,
    /// `absent` where there is no container.
    state: String,
    health: Option<String>,
    image: String,
    offline: bool,
    ports: Vec<u16>,
    uptime_seconds: Option<u64>,
    memory_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
    cpu_percent: Option<f64>,
    cpu_shares: Option<u64>,
    data_bytes: Option<u64>,
    data_quota_bytes: Option<u64>,
    /// Variables of `.env` that had other values when the container was made.
    otherwise: Vec<String>,
}

impl Line {
    /// Whether it serves nobody.
    fn is_down(&self) -> bool {
        self.state != "running" || self.health.as_deref() == Some("unhealthy")
    }
}

impl Args {
    /// Prints the services of the stacks.
    ///
    /// # Errors
    /// When the engine does not answer, or something is down: a service of a stack that was named, or of
    /// one that has containers.
    pub fn run(self, cx: &Context) -> Result<()> {
        let stacks = cx.stacks(self.stack.as_deref())?;
        let all = side_by_side(&stacks)?;
        cx.require_project(&stacks)?;
        for (stack, lines) in stacks.iter().zip(&all) {
            if stacks.len() > 1 || cx.overrides.project.is_some() {
                cx.report.line(format!("{} (project {})", stack.name(), stack.project()));
            }
            show(cx, lines);
            hint(cx, stack, lines);
        }
        let down = self.down(&stacks, &all);
        let services: Vec<_> = all.into_iter().flatten().collect();
        cx.report.document("xtask.status/v1", &serde_json::json!({ "services": services }))?;
        down.map_or(Ok(()), |problem| Err(problem.into()))
    }

    /// What keeps a script from going on. A stack of which nothing is there is meant to be down, unless
    /// it was named.
    fn down(&self, stacks: &[Stack], all: &[Vec<Line>]) -> Option<Problem> {
        let is_there = |lines: &[Line]| lines.iter().any(|line| line.state != "absent");
        let is_meant = |lines: &[Line]| self.stack.is_some() || is_there(lines);
        let of_all = stacks.iter().zip(all);
        let meant: Vec<_> = of_all.filter(|(_, lines)| is_meant(lines)).collect();
        let is_down = |lines: &[Line]| lines.iter().any(Line::is_down);
        let down = meant.iter().filter(|(_, lines)| is_down(lines));
        let ways = down.map(|(stack, _)| Advice::from(Xtask::Up(stack.on()))).reduce(Advice::and);
        let Some(ways) = ways else {
            let nothing = || Problem::failed("status.down", "no stack is up");
            return meant.is_empty().then(nothing);
        };
        let lines = meant.iter().flat_map(|(_, lines)| lines.iter());
        let names: Vec<_> =
            lines.filter(|line| line.is_down()).map(|line| line.service.as_str()).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        let found = format!("{} {verb} down or unhealthy", names.join(", "));
        Some(Problem::failed("status.down", found).mend(ways))
    }
}

/// Marks a service on an offline image.
const OFFLINE: &str = "*";

fn show(cx: &Context, lines: &[Line]) {
    let head = ["SERVICE", "STATE", "UPTIME", "MEMORY", "CPU", "DATA", "PORTS", "IMAGE"];
    let rows: Vec<_> = lines.iter().map(row).collect();
    let expendable = ["IMAGE", "CPU", "DATA", "UPTIME", "MEMORY"];
    let table = table::fitting(&head, &rows, &expendable, table::terminal_width());
    cx.report.line(table.join("\n"));
    if lines.iter().any(|line| line.offline) {
        let legend = "runs on an offline image, not on the pinned one";
        cx.report.line(format!("{DIM}{OFFLINE} {legend}{DIM:#}"));
    }
}

fn side_by_side(stacks: &[Stack]) -> Result<Vec<Vec<Line>>> {
    std::thread::scope(|scope| {
        let observing: Vec<_> = stacks.iter().map(|stack| scope.spawn(|| observe(stack))).collect();
        let observed = observing.into_iter().map(|one| {
            one.join().unwrap_or_else(|_| bail!("looking at the containers did not end well"))
        });
        observed.collect()
    })
}

/// One line a service; use and data size are asked side by side, since both take their time.
fn observe(stack: &Stack) -> Result<Vec<Line>> {
    let containers = container::of_project(&stack.project())?;
    let running: Vec<_> = containers.iter().filter(|container| container.is_running()).collect();
    let ids: Vec<_> = running.iter().map(|container| container.id.as_str()).collect();
    std::thread::scope(|scope| {
        let uses = scope.spawn(|| stats::measure(&ids));
        let services = stack.active();
        let sizes: Vec<_> = services
            .iter()
            .map(|service| scope.spawn(|| data_size(stack, service, &running)))
            .collect();
        let uses = uses.join().unwrap_or_default();
        let sizes = sizes.into_iter().map(|size| size.join().ok().flatten());
        let services = services.iter().zip(sizes);
        services.map(|(service, size)| line(stack, service, &containers, &uses, size)).collect()
    })
}

fn line(
    stack: &Stack,
    service: &Service,
    containers: &[Container],
    uses: &BTreeMap<String, Use>,
    data_bytes: Option<u64>,
) -> Result<Line> {
    let line = Line {
        stack: stack.name().to_owned(),
        service: service.name.clone(),
        data_bytes,
        data_quota_bytes: service
            .data
            .as_ref()
            .map(|data| quota::of(stack, data))
            .transpose()?
            .flatten()
            .map(|quota| quota.0),
        ..Line::default()
    };
    let container = containers.iter().find(|container| container.service() == Some(&service.name));
    let Some(container) = container else {
        let (image, offline) = (stack.image(service)?, stack.is_offline(service));
        return Ok(Line { state: "absent".to_owned(), image, offline, ..line });
    };
    let now = uses.get(&container.id).copied().unwrap_or_default();
    let limit = |value: u64| Some(value).filter(|value| *value > 0);
    Ok(Line {
        state: container.state.status.clone(),
        health: container.health().map(str::to_owned),
        image: container.config.image.clone(),
        offline: service.is_offline_image(&container.config.image),
        ports: container.host_ports(),
        uptime_seconds: container.uptime().map(|uptime| uptime.as_secs()),
        memory_bytes: now.memory,
        memory_limit_bytes: limit(container.host_config.memory),
        cpu_percent: now.cpu,
        cpu_shares: limit(container.host_config.cpu_shares),
        otherwise: recovered::differing(stack, container),
        ..line
    })
}

/// As the container counts it, since only root may look into the directory on the host.
fn data_size(stack: &Stack, service: &Service, running: &[&Container]) -> Option<u64> {
    let directory = service.data.as_ref()?;
    let container = running.iter().find(|container| container.service() == Some(&service.name))?;
    let path = stack.data_path(directory);
    let mount = container
        .mounts
        .iter()
        .find(|mount| path.ends_with(mount.source.trim_start_matches('/')))?;
    let size = exec::read(&container.id, &["du", "-sk", &mount.destination]).ok()?;
    // Complaints of files that went meanwhile come before the sum.
    size.lines()
        .last()?
        .split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kilobytes| kilobytes * 1024)
}

fn row(line: &Line) -> Vec<Cell> {
    let unknown = || "-".to_owned();
    // Of a container that runs, its health says more.
    let state = match (line.state.as_str(), line.health.as_deref()) {
        ("running", Some(health)) => health,
        (state, _) => state,
    };
    let style = match state {
        "running" | "healthy" => GOOD,
        "absent" => DIM,
        "starting" | "restarting" | "created" | "paused" => WARNING,
        _ => BAD,
    };
    let size = |bytes: Option<u64>| bytes.map_or_else(unknown, |bytes| Bytes(bytes).to_string());
    let memory = match (line.memory_bytes, line.memory_limit_bytes) {
        (Some(used), Some(limit)) => format!("{} of {}", Bytes(used), Bytes(limit)),
        (used, _) => size(used),
    };
    let ports: Vec<_> = line.ports.iter().map(u16::to_string).collect();
    let mark = if line.offline { format!(" {OFFLINE}") } else { String::new() };
    let uptime =
        line.uptime_seconds.map(|seconds| duration(std::time::Duration::from_secs(seconds)));
    vec![
        format!("{}{mark}", line.service).into(),
        Cell::styled(state, style),
        uptime.unwrap_or_else(unknown).into(),
        memory.into(),
        line.cpu_percent.map_or_else(unknown, |percent| format!("{percent:.1} %")).into(),
        data(line),
        ports.join(" ").into(),
        line.image.as_str().into(),
    ]
}

fn data(line: &Line) -> Cell {
    match (line.data_bytes, line.data_quota_bytes) {
        (Some(used), Some(quota)) => {
            let is_near = used as f64 >= quota as f64 * NEAR;
            let style = if is_near { WARNING } else { Style::new() };
            Cell::styled(format!("{} of {}", Bytes(used), Bytes(quota)), style)
        }
        (Some(used), None) => Bytes(used).to_string().into(),
        (None, _) => "-".into(),
    }
}

fn hint(cx: &Context, stack: &Stack, lines: &[Line]) {
    let up = Xtask::Up(stack.on());
    if lines.iter().any(|line| line.state != "running") {
        let name = stack.name();
        cx.report.progress(format!("{name} is not fully up; {up} starts what is missing"));
    }
    for line in lines.iter().filter(|line| !line.otherwise.is_empty()) {
        let (service, names) = (&line.service, line.otherwise.join(", "));
        cx.report.warning(format!(
            "{service} still runs with the old {names}: {up} applies what .env has now"
        ));
    }
}
