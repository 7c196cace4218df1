//! `cargo xtask images`.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use crate::context::Context;
use crate::docker::container::{self, Container};
use crate::docker::engine::Engine;
use crate::docker::image;
use crate::names::is_project;
use crate::offline::{
    self,
    catalogue::{Catalogue, Image},
};
use crate::plan::Plan;
use crate::process::Cmd;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::table::{self, Cell};
use crate::report::units::image_size;
use crate::stack::{Overrides, Stack};

/// Build offline images: real servers from Debian packages, for machines without a registry
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build images that are missing or older than their folder in tests/images/
    ///
    /// Without options: those that `up --offline` uses.
    Build(Versions),
    /// List them
    List,
    /// Remove them
    Remove,
}

/// Versions beside those that `up --offline` takes, for tests.
#[derive(Debug, clap::Args)]
struct Versions {
    /// Only this version of PostgreSQL, such as 13
    #[arg(long, value_name = "VERSION")]
    postgres: Vec<String>,
    /// Only this version of Redis, such as 7.0
    #[arg(long, value_name = "VERSION")]
    redis: Vec<String>,
    /// Only this version of Prometheus, such as 2.53
    #[arg(long, value_name = "VERSION")]
    prometheus: Vec<String>,
    /// Only this version of AlertManager, such as 0.28
    #[arg(long, value_name = "VERSION")]
    alertmanager: Vec<String>,
    /// Every version of every image, which the tests need
    #[arg(long, conflicts_with_all = ["postgres", "redis", "prometheus", "alertmanager"])]
    all: bool,
}

impl Versions {
    fn images(&self, cx: &Context) -> Result<Vec<Image>> {
        let catalogue = Catalogue::load(&cx.root)?;
        if self.all {
            return Ok(catalogue.all().to_vec());
        }
        let mut images = Vec::new();
        for (name, versions) in [
            ("postgres", &self.postgres),
            ("redis", &self.redis),
            ("prometheus", &self.prometheus),
            ("alertmanager", &self.alertmanager),
        ] {
            for version in versions {
                images.push(catalogue.version(name, version)?.clone());
            }
        }
        if images.is_empty() {
            let services = cx.manifest.stacks.iter().flat_map(|stack| &stack.services);
            let usual = services.filter_map(|service| service.offline_image.as_deref());
            return usual.map(|image| catalogue.get(image).cloned()).collect();
        }
        Ok(images)
    }
}

#[derive(Serialize)]
struct Line {
    image: String,
    instead_of: String,
    /// Whether `up --offline` takes it; the others are for tests.
    usual: bool,
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
            Action::Build(versions) => build(cx, &versions.images(cx)?),
            Action::List => list(cx),
            Action::Remove => remove(cx),
        }
    }
}

/// Builds what is missing.
///
/// # Errors
/// When a program is missing or a build fails.
pub fn build(cx: &Context, images: &[Image]) -> Result<()> {
    if !offline::build(cx, images)? {
        if !cx.dry_run {
            cx.report.done("the offline images are there");
        }
        return cx.execute(Plan::new());
    }
    Ok(())
}

fn list(cx: &Context) -> Result<()> {
    let mut lines = Vec::new();
    let catalogue = Catalogue::load(&cx.root)?;
    let current = offline::current(cx, catalogue.all())?;
    let stacks = cx.stacks_whatever_env_says(None)?;
    for image in catalogue.all() {
        let reference = image.reference();
        let for_service = |stack: &Stack| {
            let service = stack.service(&image.name).ok()?;
            let usual = service.offline_image.as_ref() == Some(&reference);
            Some((stack.compose.default_image(&image.name).ok()?, usual))
        };
        // Those for tests alone stand in for nothing.
        let (instead_of, usual) = stacks.iter().find_map(for_service).unwrap_or_default();
        let present = image::get(&reference)?;
        lines.push(Line {
            image: reference,
            instead_of,
            usual,
            present: present.is_some(),
            current: current.contains(image),
            bytes: present.map(|image| image.size),
        });
    }
    let row = |line: &Line| -> Vec<Cell> {
        let state = match (line.present, line.current) {
            (false, _) => "missing",
            (true, false) => "older than its folder",
            (true, true) => "built",
        };
        let size = line.bytes.map(image_size).unwrap_or_default();
        let usual = if line.usual { "up --offline" } else { "tests" };
        let (image, instead_of) = (line.image.as_str(), line.instead_of.as_str());
        vec![image.into(), instead_of.into(), usual.into(), state.into(), size.into()]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    let head = ["IMAGE", "INSTEAD OF", "FOR", "STATE", "SIZE"];
    let table = table::fitting(&head, &rows, &["INSTEAD OF"], table::terminal_width());
    cx.report.line(table.join("\n"));
    cx.report.document("xtask.images/v1", &serde_json::json!({ "images": lines }))
}

fn remove(cx: &Context) -> Result<()> {
    let catalogue = Catalogue::load(&cx.root)?;
    let bases: Vec<_> = catalogue.releases().into_iter().map(offline::base).collect();
    let references = catalogue.all().iter().map(Image::reference).chain(bases.clone());
    let mut plan = Plan::new();
    let (mut used, mut ways) = (Vec::new(), BTreeSet::new());
    for reference in references {
        let Some(image) = image::get(&reference)? else { continue };
        let users = container::on_image(&image.id)?;
        if !users.is_empty() && !bases.contains(&reference) {
            let names: Vec<_> = users.iter().map(Container::name).collect();
            used.push(format!("{reference} is used by {}", names.join(", ")));
            ways.extend(users.iter().map(|user| way_down(cx, user)));
            continue;
        }
        plan.run(
            format!("remove {reference}"),
            Cmd::new("docker").args(["image", "rm", &reference]),
        );
    }
    if !used.is_empty() {
        let ways: Vec<_> = ways.into_iter().collect();
        let problem = Problem::failed("images.in-use", used.join("\n"));
        return Err(problem.mend(ways.join("; ")).into());
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
