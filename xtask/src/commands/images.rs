//! `cargo xtask images`.

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use crate::context::Context;
use crate::docker::container::{self, Container};
use crate::docker::engine::Engine;
use crate::docker::image;
use crate::names::is_project;
use crate::offline;
use crate::plan::Plan;
use crate::process::Cmd;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::table::{self, Cell};
use crate::report::units::image_size;
use crate::stack::manifest::Service;
use crate::stack::{Overrides, Stack};

/// Offline images: real servers from Debian's packages, for machines that reach no registry
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build those that are missing or older than their folder in tests/images/
    Build,
    /// List them
    List,
    /// Remove them
    Remove,
}

#[derive(Serialize)]
struct Line {
    image: String,
    instead_of: String,
    present: bool,
    current: bool,
    bytes: Option<u64>,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// When a program is missing, a build fails, or a container still uses an image.
    pub fn run(self, cx: &Context) -> Result<()> {
        Engine::ask()?;
        match self.action {
            Action::Build => build(cx),
            Action::List => list(cx),
            Action::Remove => remove(cx),
        }
    }
}

fn services(cx: &Context) -> Vec<Service> {
    cx.manifest.stacks.iter().flat_map(|stack| stack.services.clone()).collect()
}

/// Builds what is missing.
///
/// # Errors
/// When a program is missing or a build fails.
pub fn build(cx: &Context) -> Result<()> {
    if !offline::build(cx, &services(cx))? {
        if !cx.dry_run {
            cx.report.done("the offline images are there");
        }
        return cx.execute(Plan::new());
    }
    Ok(())
}

fn list(cx: &Context) -> Result<()> {
    let mut lines = Vec::new();
    let services = services(cx);
    let current = offline::current(cx, offline::with_folders(&services))?;
    for stack in cx.stacks(None)? {
        for service in &stack.definition.services {
            let reference = service.offline_image.as_str();
            let image = image::get(reference)?;
            lines.push(Line {
                image: reference.to_owned(),
                instead_of: stack.compose.default_image(&service.name)?,
                present: image.is_some(),
                current: current.contains(reference),
                bytes: image.map(|image| image.size),
            });
        }
    }
    let row = |line: &Line| -> Vec<Cell> {
        let state = match (line.present, line.current) {
            (false, _) => "missing",
            (true, false) => "older than its folder",
            (true, true) => "built",
        };
        let size = line.bytes.map(image_size).unwrap_or_default();
        vec![line.image.as_str().into(), line.instead_of.as_str().into(), state.into(), size.into()]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    let head = ["IMAGE", "INSTEAD OF", "STATE", "SIZE"];
    let table = table::fitting(&head, &rows, &["INSTEAD OF"], table::terminal_width());
    cx.report.line(table.join("\n"));
    cx.report.document("xtask.images/v1", &serde_json::json!({ "images": lines }))
}

fn remove(cx: &Context) -> Result<()> {
    let services = services(cx);
    let references =
        services.iter().map(|service| service.offline_image.as_str()).chain([offline::BASE]);
    let mut plan = Plan::new();
    for reference in references {
        let Some(image) = image::get(reference)? else { continue };
        let users = container::on_image(&image.id)?;
        if !users.is_empty() && reference != offline::BASE {
            let names: Vec<_> = users.iter().map(Container::name).collect();
            let found = format!("{reference} is used by {}", names.join(", "));
            let mut ways: Vec<_> = users.iter().map(|user| way_down(cx, user)).collect();
            ways.dedup();
            return Err(Problem::failed("images.in-use", found).mend(ways.join("; ")).into());
        }
        plan.run(
            format!("remove {reference}"),
            Cmd::new("docker").args(["image", "rm", reference]),
        );
    }
    cx.execute(plan)
}

/// What frees an image of a container: `down` of its stack where that is one of ours.
fn way_down(cx: &Context, container: &Container) -> String {
    let project = container.project().unwrap_or_default();
    let is_its = |stack: &Stack| stack.env.text().is_some() && stack.project() == project;
    for definition in &cx.manifest.stacks {
        let copy = project.strip_suffix(&format!("-{}", definition.name));
        // Whoever makes a container writes its labels.
        let copy = copy.filter(|copy| is_project(copy)).map(str::to_owned);
        for project in [None, copy] {
            let overrides = Overrides { project, ..Overrides::default() };
            let stack = Stack::load(&cx.root, definition, &overrides).ok().filter(is_its);
            if let Some(stack) = stack {
                return Xtask::Down(stack.on()).to_string();
            }
        }
    }
    match (container.compose_folder(), container.project()) {
        (Some(folder), Some(project)) => format!("take {project} down from {folder}"),
        _ => format!("docker stop {0}, and docker rm {0}, if it is not needed", container.name()),
    }
}
