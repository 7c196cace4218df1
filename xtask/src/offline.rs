//! Offline images: built from the folders of `tests/images/` and Debian's packages, for machines
//! that reach no registry.

pub mod catalogue;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use self::catalogue::Image;
use crate::context::Context;
use crate::docker::image;
use crate::docker::labels::HELPER;
use crate::host::digest::{hex, sha256};
use crate::host::files;
use crate::host::followed;
use crate::host::lock::{self, Holder, IfHeld, Lock};
use crate::plan::Plan;
use crate::process::{Cmd, find};
use crate::report::finding::Problem;

/// The release of Debian in which packages are unpacked.
const UNPACKS: &str = "bookworm";
/// The label with the digest of the folder that an image was built from.
const SOURCE: &str = "case-interview.source";
/// Programs that a build runs on this machine.
pub const PROGRAMS: [&str; 5] = ["debootstrap", "fakeroot", "python3", "pip3", "tar"];

/// The root file system of this release under the images.
pub fn base(release: &str) -> String {
    format!("case-interview-offline/base:{release}")
}

/// The folder with the sources of the image called `name`.
pub fn folder(root: &Path, name: &str) -> PathBuf {
    root.join("tests/images").join(name)
}

/// The program that makes root file systems.
pub fn builder(root: &Path) -> PathBuf {
    folder(root, "base").join("build.sh")
}

/// The script that fetches and unpacks packages.
fn unpacker(cx: &Context) -> PathBuf {
    cx.root.join("tests/images/packages.sh")
}

/// Of these images, those that the engine has as they would be built now.
///
/// # Errors
/// When a folder cannot be read or the engine does not answer.
pub fn current<'a>(
    cx: &Context,
    images: impl IntoIterator<Item = &'a Image>,
) -> Result<BTreeSet<&'a Image>> {
    let images: Vec<_> = images.into_iter().map(|image| (image.reference(), image)).collect();
    let found = image::find(images.iter().map(|(reference, _)| reference.as_str()))?;
    let mut current = BTreeSet::new();
    for (reference, image) in &images {
        let built_from = found.get(reference.as_str()).and_then(|image| image.label(SOURCE));
        if built_from == Some(digest(cx, image)?.as_str()) {
            current.insert(*image);
        }
    }
    Ok(current)
}

/// Builds what is missing or older than its folder, and says whether anything was. A second
/// builder waits for the first.
///
/// # Errors
/// A prerequisite problem when a program for it is missing; when a build fails.
pub fn build(cx: &Context, images: &[Image]) -> Result<bool> {
    let steps = plan(cx, images)?;
    if steps.is_empty() {
        return Ok(false);
    }
    if cx.dry_run {
        return cx.execute(steps).map(|()| true);
    }
    let project = project(cx);
    let path = lock::path(&cx.state_folder(), &project);
    let waiting = |holder: &Holder| cx.report.progress(format!("waiting for {holder}"));
    let _lock = Lock::take(&path, "images build", IfHeld::Wait, waiting)?;
    cx.remove_leftovers(&project)?;
    cx.execute(plan(cx, images)?)?;
    Ok(true)
}

fn plan(cx: &Context, images: &[Image]) -> Result<Plan> {
    let mut plan = Plan::new();
    let current = current(cx, images)?;
    let outdated: Vec<_> = images.iter().filter(|image| !current.contains(image)).collect();
    if outdated.is_empty() {
        return Ok(plan);
    }
    require_programs()?;
    let scratch = cx.state_folder().join("images");
    plan.run(format!("make {}", scratch.display()), Cmd::new("mkdir").arg("-p").arg(&scratch));
    let bases: BTreeSet<_> = outdated.iter().map(|image| base_of(image)).collect();
    for release in bases {
        plan.append(build_base(cx, release)?);
    }
    let packages = scratch.join("packages");
    let clear = || Cmd::new("rm").arg("-rf").arg(&packages);
    plan.run(format!("clear {}", packages.display()), clear());
    plan.append(fetch_packages(cx, &outdated, &packages)?);
    for image in outdated {
        plan.append(build_one(cx, image, &scratch, &packages)?);
    }
    plan.run(format!("clear {}", packages.display()), clear());
    Ok(plan)
}

/// The release of the root file system that a build of `image` starts.
fn base_of(image: &Image) -> &str {
    if image.recipe.packages.is_none() { &image.recipe.release } else { UNPACKS }
}

fn build_base(cx: &Context, release: &str) -> Result<Plan> {
    let mut plan = Plan::new();
    let (base, source) = (base(release), base_digest(cx, release)?);
    if image::get(&base)?.is_some_and(|image| image.label(SOURCE) == Some(source.as_str())) {
        return Ok(plan);
    }
    // debootstrap takes no path with a space, which the repository's may have.
    let below = std::env::temp_dir().join(format!("case-interview-{}", place(&cx.root)));
    let shown = below.display();
    plan.run(format!("clear {shown}"), Cmd::new("rm").arg("-rf").arg(&below));
    plan.run(format!("make {shown}"), Cmd::new("mkdir").arg(&below));
    let build = Cmd::new(builder(&cx.root))
        .args([release, &base])
        .arg(&below)
        .env("HELPER_LABEL", format!("{HELPER}={}", project(cx)))
        .env("SOURCE_LABEL", format!("{SOURCE}={source}"));
    plan.run(format!("build {base}"), build);
    plan.run(format!("remove {shown}"), Cmd::new("rmdir").arg(&below));
    Ok(plan)
}

/// Unpacks the Debian packages of all the images at once: reading Debian's lists takes longer than
/// the rest.
fn fetch_packages(cx: &Context, images: &[&Image], target: &Path) -> Result<Plan> {
    let mut plan = Plan::new();
    let wanted = |image: &&Image| {
        let packages = image.recipe.packages.as_ref()?.join(",");
        Some(format!("{}/{}={packages}", image.recipe.release, image.folder()))
    };
    let wanted: Vec<_> = images.iter().filter_map(wanted).collect();
    if wanted.is_empty() {
        return Ok(plan);
    }
    let fetch = Cmd::new("docker")
        .args(["run", "--rm", "--interactive", "--label", &format!("{HELPER}={}", project(cx))])
        .args([&base(UNPACKS), "sh", "-s", "--"])
        .args(wanted)
        .stdin(read(&unpacker(cx))?);
    let unpack = Cmd::new("tar")
        // Not less than what a narrow umask would leave, since images keep the modes.
        .args(["--extract", "--preserve-permissions", "--directory"])
        .arg(target)
        .fed_by(fetch);
    plan.run(format!("make {}", target.display()), Cmd::new("mkdir").arg(target));
    plan.run("fetch and unpack Debian's packages", unpack);
    Ok(plan)
}

fn build_one(cx: &Context, image: &Image, scratch: &Path, packages: &Path) -> Result<Plan> {
    let mut plan = Plan::new();
    let folder = folder(&cx.root, &image.name);
    let (reference, recipe) = (image.reference(), &image.recipe);
    let mut context = Cmd::new("tar").args(["--create", "--directory"]).arg(&folder).arg(".");
    if let Some(wheels) = &recipe.wheels {
        let python = scratch.join(image.folder());
        plan.append(fetch_wheels(&folder.join(wheels), &python.join("wheels")));
        context = context.arg("--directory").arg(&python).arg("wheels");
    }
    if recipe.packages.is_some() {
        let packages = packages.join(&recipe.release);
        context = context.arg("--directory").arg(&packages).arg("busybox");
        context = context.arg("--directory").arg(packages.join(image.folder())).arg("packages");
    }
    let build = Cmd::new("docker")
        .args(["build", "--tag", &reference])
        .args(["--build-arg", &format!("RELEASE={}", recipe.release)])
        .args(["--build-arg", &format!("VERSION={}", image.version)])
        .args(["--label", &format!("{SOURCE}={}", digest(cx, image)?)])
        .args(["--force-rm", "-"])
        // The builder that every engine from 20.10 on has without a plugin.
        .env("DOCKER_BUILDKIT", "0")
        .fed_by(context);
    plan.run(format!("build {reference}"), build);
    Ok(plan)
}

fn fetch_wheels(list: &Path, target: &Path) -> Plan {
    let mut plan = Plan::new();
    plan.run(format!("clear {}", target.display()), Cmd::new("rm").arg("-rf").arg(target));
    let download = Cmd::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"])
        // For the image's Python, not this machine's.
        .args(["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"])
        .arg("--dest")
        .arg(target)
        .arg("--requirement")
        .arg(list);
    plan.run(format!("fetch the packages of {}", list.display()), download);
    plan
}

fn require_programs() -> Result<()> {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|program| find(program).is_err()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Problem::prerequisite(
        "images.programs",
        format!("to build offline images, these programs are missing: {}", missing.join(", ")),
    )
    .mend("on Debian and Ubuntu: apt-get install debootstrap fakeroot python3-pip (or the command again with --fix)")
    .into())
}

/// What stands for a project among locks and left-overs: one a clone, since two of them build side
/// by side, each under a lock of its own. No project's name has a dot.
fn project(cx: &Context) -> String {
    format!(".images-{}", place(&cx.root))
}

/// A short name for a path, without a space.
fn place(path: &Path) -> String {
    sha256(path.as_os_str().as_encoded_bytes())[..12].to_owned()
}

/// Of all that makes the image: a change of any of it makes another one.
fn digest(cx: &Context, image: &Image) -> Result<String> {
    let recipe = serde_json::to_string(&image.recipe).context("writing a recipe")?;
    let mut parts = vec![base_digest(cx, base_of(image))?, recipe];
    let mut files = files::below(&folder(&cx.root, &image.name))?;
    if image.recipe.packages.is_some() {
        files.push(unpacker(cx));
    }
    parts.push(digest_of(cx, files)?);
    Ok(hex(&Sha256::digest(parts.join("\n"))[..16]))
}

/// Of what makes a root file system.
fn base_digest(cx: &Context, release: &str) -> Result<String> {
    let files = digest_of(cx, files::below(&folder(&cx.root, "base"))?)?;
    Ok(hex(&Sha256::digest(format!("{release}\n{files}"))[..16]))
}

/// Of files, with their names.
fn digest_of(cx: &Context, mut files: Vec<PathBuf>) -> Result<String> {
    let mut hasher = Sha256::new();
    files.sort();
    for file in files {
        let contents =
            followed::bytes(&file).with_context(|| format!("reading {}", file.display()))?;
        hasher.update(file.strip_prefix(&cx.root).unwrap_or(&file).as_os_str().as_encoded_bytes());
        hasher.update(contents.len().to_le_bytes());
        hasher.update(&contents);
    }
    Ok(hex(&hasher.finalize()))
}

fn read(file: &Path) -> Result<String> {
    followed::text(file).with_context(|| format!("reading {}", file.display()))
}
