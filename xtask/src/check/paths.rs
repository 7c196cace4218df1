//! Every path in the repository that a later command or a container needs is there, with the mode
//! that it needs.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::relative;
use crate::alerts;
use crate::context::Context;
use crate::host::followed;
use crate::offline::{self, catalogue::Catalogue};
use crate::process::quote;
use crate::report::finding::Finding;

const READABLE: &str = "files.readable";
const OFFLINE: &str = "images.offline";

/// A service of a compose file, as far as it says what it mounts.
#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Volume {
    Short(String),
    Long {
        #[serde(default)]
        source: String,
    },
}

/// Whether containers, each with a user of its own, can read what is mounted from the repository.
pub(super) fn containers_can_read(cx: &Context) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut count = 0;
    for stack in cx.stacks_whatever_env_says(None)? {
        let mut folders = BTreeSet::new();
        for file in stack.compose.own_paths() {
            folders.extend(mounted(file)?);
        }
        for folder in folders {
            let path = stack.folder.join(&folder);
            if !path.exists() {
                let found = format!("a compose file mounts {folder}, which is not there");
                findings.push(Finding::error(READABLE, found).about(stack.name()));
                continue;
            }
            let is_private = |path: &Path| alerts::is_private(&stack, path);
            let closed = closed(&path, &is_private)?;
            count += 1;
            findings.extend(closed.iter().map(|path| {
                let file = relative(cx, path);
                let open = format!("chmod o+rX {}", quote(&file));
                let found = "its container runs as another user, who cannot read it";
                Finding::error(READABLE, found).at(file, None).mend(open)
            }));
        }
    }
    if findings.is_empty() {
        let found = format!("containers can read the {count} folders that they mount");
        findings.push(Finding::ok(READABLE, found));
    }
    Ok(findings)
}

/// The paths beside the compose file that its services mount.
fn mounted(path: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct File {
        services: std::collections::BTreeMap<String, Service>,
    }
    let reading = || format!("reading {}", path.display());
    let text = followed::text(path).with_context(reading)?;
    let mut value: yaml_serde::Value = yaml_serde::from_str(&text).with_context(reading)?;
    value.apply_merge().with_context(reading)?;
    let file: File = yaml_serde::from_value(value).with_context(reading)?;
    let volumes = file.services.into_values().flat_map(|service| service.volumes);
    let sources = volumes.map(|volume| match volume {
        Volume::Short(text) => text.split(':').next().unwrap_or_default().to_owned(),
        Volume::Long { source } => source,
    });
    Ok(sources.filter_map(|source| source.strip_prefix("./").map(str::to_owned)).collect())
}

/// What below `path`, itself included, others than its owner and group cannot read.
fn closed(path: &Path, is_private: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let reading = || format!("reading {}", path.display());
    if is_private(path) {
        return Ok(Vec::new());
    }
    let metadata = path.metadata().with_context(reading)?;
    let needed = if metadata.is_dir() { 0o005 } else { 0o004 };
    if metadata.permissions().mode() & needed != needed {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).with_context(reading)? {
            found.extend(closed(&entry.with_context(reading)?.path(), is_private)?);
        }
    }
    Ok(found)
}

/// Whether what stacks.toml calls an offline image can be built.
pub(super) fn offline_images_can_be_built(cx: &Context) -> Result<Vec<Finding>> {
    let Ok(catalogue) = Catalogue::load(&cx.root) else {
        let found = "unknown, since tests/images/images.toml cannot be read";
        return Ok(vec![Finding::warning(OFFLINE, found)]);
    };
    let mut findings = Vec::new();
    let builder = offline::builder(&cx.root);
    let is_program = |path: &Path| {
        path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
    };
    if !is_program(&builder) {
        let file = relative(cx, &builder);
        let mend = format!("chmod +x {}", quote(&file));
        let found = "`images build` starts it, and it is not executable";
        findings.push(Finding::error(OFFLINE, found).at(file, None).mend(mend));
    }
    for image in catalogue.all() {
        let folder = offline::folder(&cx.root, &image.name);
        let needed = std::iter::once("Dockerfile").chain(image.recipe.wheels.as_deref());
        let missing = needed.map(|name| folder.join(name)).filter(|path| !path.is_file());
        findings.extend(missing.map(|path| {
            Finding::error(OFFLINE, format!("needs {}", relative(cx, &path)))
                .about(image.reference())
                .at("tests/images/images.toml", None)
        }));
    }
    let services = cx.manifest.stacks.iter().flat_map(|stack| &stack.services);
    for service in services {
        let Some(reference) = &service.offline_image else { continue };
        if let Err(error) = catalogue.get(reference) {
            let finding = Finding::of_error(OFFLINE, &error);
            findings.push(
                Finding { id: OFFLINE, ..finding }
                    .about(service.name.as_str())
                    .at("infrastructure/stacks.toml", None),
            );
        }
    }
    if findings.is_empty() {
        let found = "each offline image that stacks.toml names can be built";
        findings.push(Finding::ok(OFFLINE, found));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_only_its_owner_can_read_is_found_but_what_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let (rules, secret) = (folder.path().join("rules"), folder.path().join("secret"));
        fs::create_dir(&rules).unwrap();
        let rule = rules.join("a.yml");
        for file in [&rule, &secret] {
            fs::write(file, "").unwrap();
        }
        for (path, its) in
            [(folder.path(), 0o755), (&rules, 0o755), (&rule, 0o644), (&secret, 0o600)]
        {
            mode(path, its);
        }
        let found = || closed(folder.path(), &|path| path == secret).unwrap();
        assert!(found().is_empty());
        mode(&rule, 0o640);
        assert_eq!(found(), std::slice::from_ref(&rule));
        mode(&rules, 0o750);
        assert_eq!(found(), std::slice::from_ref(&rules), "once, for all that is below");
    }
}
