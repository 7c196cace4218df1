//! The files of a stack, without which its data is of little use: compose files, `.env`,
//! provisioning, rules, and what xtask reads.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::process::Cmd;
use crate::stack::Stack;

/// The name that stands for a service's in objects.
pub const NAME: &str = "configuration";

/// The program that writes them as a tar archive, with paths below `infrastructure/`.
///
/// # Errors
/// When a folder cannot be read.
pub fn tar(cx: &Context, stack: &Stack) -> Result<Cmd> {
    let top = cx.root.join("infrastructure");
    let mut files = Vec::new();
    list(&stack.folder, &is_another_copys(stack), &mut files)?;
    files.extend(["stacks.toml", "backup.toml"].map(|name| top.join(name)));
    let mut names = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&top).context("a file outside infrastructure/")?;
        names.extend_from_slice(name.as_os_str().as_bytes());
        names.push(0);
    }
    Ok(Cmd::new("tar")
        .args(["--create", "--file", "-", "--dereference", "--directory"])
        .arg(&top)
        .args(["--null", "--files-from", "-"])
        .stdin(names))
}

/// Bytes of them.
///
/// # Errors
/// When a folder cannot be read.
pub fn size(stack: &Stack) -> Result<u64> {
    let mut files = Vec::new();
    list(&stack.folder, &is_another_copys(stack), &mut files)?;
    Ok(files.iter().filter_map(|file| Some(fs::metadata(file).ok()?.len())).sum())
}

/// What is another copy's, and what a killed run left of a file.
fn is_another_copys(stack: &Stack) -> impl Fn(&Path) -> bool {
    let own = [stack.env.path().to_owned(), stack.folder.join(stack.override_name())];
    move |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_of_a_copy = (name.starts_with(".env") && name != ".env.example")
            || name.starts_with("docker-compose.override.");
        name.ends_with(crate::host::files::PARTIAL)
            || (is_of_a_copy && own.iter().all(|own| own != path))
    }
}

fn list(folder: &Path, skip: &dyn Fn(&Path) -> bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let reading = || format!("reading {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        entries.push(entry.with_context(reading)?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, skip, files)?;
        } else if path.is_file() && !skip(&path) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Overrides;
    use crate::stack::manifest::Manifest;

    #[test]
    fn a_set_has_the_override_of_its_own_copy_alone() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infrastructure");
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("infrastructure/docker/development");
        fs::create_dir_all(&folder).unwrap();
        for file in ["docker-compose.yml", "docker-compose.overlay.yml"] {
            fs::copy(shipped.join("docker/development").join(file), folder.join(file)).unwrap();
        }
        let definitions = shipped.join("stacks.toml");
        fs::copy(definitions, root.path().join("infrastructure/stacks.toml")).unwrap();
        for name in ["", "copy.", "other."] {
            let text = "services: { mailhog: { labels: { on: top } } }";
            fs::write(folder.join(format!("docker-compose.override.{name}yml")), text).unwrap();
            fs::write(folder.join(format!(".env.{name}")), "").unwrap();
        }
        let manifest = Manifest::load(root.path()).unwrap();
        let definition = manifest.select("dev").unwrap().remove(0);
        for (project, expected) in [
            (None, "docker-compose.override.yml"),
            (Some("copy"), "docker-compose.override.copy.yml"),
        ] {
            let project = project.map(str::to_owned);
            let overrides = Overrides { project, ..Overrides::default() };
            let stack = Stack::load(root.path(), definition, &overrides).unwrap();
            let mut files = Vec::new();
            list(&stack.folder, &is_another_copys(&stack), &mut files).unwrap();
            let names: Vec<_> =
                files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
            let compose = ["docker-compose.overlay.yml", expected, "docker-compose.yml"];
            assert_eq!(names, compose);
            assert_eq!(stack.compose.override_path(), Some(folder.join(expected).as_path()));
            assert_eq!(stack.compose.own_paths().len(), 2);
        }
    }
}
