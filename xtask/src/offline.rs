//! Offline images: built from the folders of `tests/images/` and Debian's packages, for machines
//! that reach no registry.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::docker::image;
use crate::docker::labels::HELPER;
use crate::host::digest::{hex, sha256};
use crate::host::files;
use crate::host::lock::{self, IfHeld, Lock};
use crate::plan::Plan;
use crate::process::{Cmd, find};
use crate::report::finding::Problem;
use crate::stack::manifest::Service;

/// The root file system under all of them.
pub const BASE: &str = "case-interview-offline/base:bookworm";
/// What stands for a project among locks and left-overs. No project's name has a dot.
const PROJECT: &str = ".images";
/// The label with the digest of the folder that an image was built from.
const SOURCE: &str = "case-interview.source";
/// The Debian packages of an image that starts from nothing, one a line.
const PACKAGES: &str = "packages.txt";
/// Programs that a build runs on this machine.
pub const PROGRAMS: [&str; 5] = ["debootstrap", "fakeroot", "python3", "pip3", "tar"];

/// The folder with the sources of the image called `name`.
pub fn folder(root: &Path, name: &str) -> PathBuf {
    root.join("tests/images").join(name)
}

/// The script that fetches and unpacks what the [`PACKAGES`] list.
fn unpacker(cx: &Context) -> PathBuf {
    cx.root.join("tests/images/packages.sh")
}

/// Which of these references the engine has, built from what the folder of that name holds now.
///
/// # Errors
/// When a folder cannot be read or the engine does not answer.
pub fn current<'a>(
    cx: &Context,
    images: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<BTreeSet<&'a str>> {
    let images: Vec<_> = images.into_iter().collect();
    let references = images.iter().map(|(reference, _)| *reference);
    let found = image::find(references)?;
    let mut current = BTreeSet::new();
    for (reference, name) in images {
        let built_from = found.get(reference).and_then(|image| image.label(SOURCE));
        if built_from == Some(digest(cx, name)?.as_str()) {
            current.insert(reference);
        }
    }
    Ok(current)
}

/// Builds what is missing or older than its folder, and says whether anything was. A second
/// builder waits for the first.
///
/// # Errors
/// A prerequisite problem when a program for it is missing; when a build fails.
pub fn build(cx: &Context, services: &[Service]) -> Result<bool> {
    let steps = plan(cx, services)?;
    if steps.is_empty() {
        return Ok(false);
    }
    if cx.dry_run {
        return cx.execute(steps).map(|()| true);
    }
    let path = lock::path(&cx.state_folder(), PROJECT);
    let waiting = |holder: &str| cx.report.progress(format!("waiting for {holder}"));
    let _lock = Lock::take(&path, "images build", IfHeld::Wait, waiting)?;
    cx.remove_leftovers(PROJECT)?;
    cx.execute(plan(cx, services)?)?;
    Ok(true)
}

fn plan(cx: &Context, services: &[Service]) -> Result<Plan> {
    let mut plan = Plan::new();
    let current = current(cx, with_folders(services).chain([(BASE, "base")]))?;
    let outdated: Vec<_> = services
        .iter()
        .filter(|service| !current.contains(service.offline_image.as_str()))
        .collect();
    if outdated.is_empty() {
        return Ok(plan);
    }
    require_programs()?;
    let scratch = cx.state_folder().join("images");
    plan.run(format!("make {}", scratch.display()), Cmd::new("mkdir").arg("-p").arg(&scratch));
    if !current.contains(BASE) {
        // debootstrap takes no path with a space, which the repository's may have.
        let below = std::env::temp_dir().join(format!("case-interview-{}", place(&cx.root)));
        let shown = below.display();
        plan.run(format!("clear {shown}"), Cmd::new("rm").arg("-rf").arg(&below));
        plan.run(format!("make {shown}"), Cmd::new("mkdir").arg(&below));
        let build = Cmd::new(folder(&cx.root, "base").join("build.sh"))
            .arg(BASE)
            .arg(&below)
            .env("HELPER_LABEL", format!("{HELPER}={PROJECT}"))
            .env("SOURCE_LABEL", format!("{SOURCE}={}", digest(cx, "base")?));
        plan.run(format!("build {BASE}"), build);
        plan.run(format!("remove {shown}"), Cmd::new("rmdir").arg(&below));
    }
    let packages = scratch.join("packages");
    let clear = || Cmd::new("rm").arg("-rf").arg(&packages);
    plan.run(format!("clear {}", packages.display()), clear());
    plan.append(fetch_packages(cx, &outdated, &packages)?);
    for service in outdated {
        plan.append(build_one(cx, service, &scratch, &packages)?);
    }
    plan.run(format!("clear {}", packages.display()), clear());
    Ok(plan)
}

/// Unpacks the Debian packages that the services' folders list, of all of them at once: reading
/// Debian's lists takes longer than the rest.
fn fetch_packages(cx: &Context, services: &[&Service], target: &Path) -> Result<Plan> {
    let mut plan = Plan::new();
    let mut wanted = Vec::new();
    for service in services {
        let list = folder(&cx.root, &service.name).join(PACKAGES);
        if list.is_file() {
            let names = read(&list)?.split_whitespace().collect::<Vec<_>>().join(",");
            wanted.push(format!("{}={names}", service.name));
        }
    }
    if wanted.is_empty() {
        return Ok(plan);
    }
    let fetch = Cmd::new("docker")
        .args(["run", "--rm", "--interactive", "--label", &format!("{HELPER}={PROJECT}")])
        .args([BASE, "sh", "-s", "--"])
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

fn build_one(cx: &Context, service: &Service, scratch: &Path, packages: &Path) -> Result<Plan> {
    let mut plan = Plan::new();
    let folder = folder(&cx.root, &service.name);
    let mut context = Cmd::new("tar").args(["--create", "--directory"]).arg(&folder).arg(".");
    let requirements = folder.join("requirements.txt");
    if requirements.is_file() {
        let python = scratch.join(&service.name);
        let wheels = python.join("wheels");
        plan.run(format!("clear {}", wheels.display()), Cmd::new("rm").arg("-rf").arg(&wheels));
        let download = Cmd::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"])
            // For the image's Python, not this machine's.
            .args(["--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"])
            .arg("--dest")
            .arg(&wheels)
            .arg("--requirement")
            .arg(&requirements);
        plan.run(format!("fetch the packages of {}", requirements.display()), download);
        context = context.arg("--directory").arg(&python).arg("wheels");
    }
    if folder.join(PACKAGES).is_file() {
        context = context.arg("--directory").arg(packages).arg("busybox");
        context = context.arg("--directory").arg(packages.join(&service.name)).arg("packages");
    }
    let build = Cmd::new("docker")
        .args(["build", "--tag", &service.offline_image])
        .args(["--label", &format!("{SOURCE}={}", digest(cx, &service.name)?)])
        .args(["--force-rm", "-"])
        // The builder that every engine from 20.10 on has without a plugin.
        .env("DOCKER_BUILDKIT", "0")
        .fed_by(context);
    plan.run(format!("build {}", service.offline_image), build);
    Ok(plan)
}

/// The offline image of each service, with the name of its folder.
pub fn with_folders(services: &[Service]) -> impl Iterator<Item = (&str, &str)> {
    services.iter().map(|service| (service.offline_image.as_str(), service.name.as_str()))
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

/// A short name for a path, without a space.
fn place(path: &Path) -> String {
    sha256(path.as_os_str().as_encoded_bytes())[..12].to_owned()
}

/// Of the files that make the image, with their names: a change of any makes another image.
fn digest(cx: &Context, name: &str) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut files = Vec::new();
    for part in ["base", name] {
        files.extend(files::below(&folder(&cx.root, part))?);
    }
    if files.iter().any(|file| file.ends_with(PACKAGES)) {
        files.push(unpacker(cx));
    }
    files.sort();
    files.dedup();
    for file in files {
        let contents = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        hasher.update(file.strip_prefix(&cx.root).unwrap_or(&file).as_os_str().as_encoded_bytes());
        hasher.update(contents.len().to_le_bytes());
        hasher.update(&contents);
    }
    Ok(hex(&hasher.finalize()[..16]))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}
