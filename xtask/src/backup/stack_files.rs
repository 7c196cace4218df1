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

/// `.env.NAME` of a copy beside this one, and what a killed run left of a file.
fn is_another_copys(stack: &Stack) -> impl Fn(&Path) -> bool {
    let own = stack.env.path().to_owned();
    move |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(crate::host::files::PARTIAL)
            || (name.starts_with(".env") && name != ".env.example" && path != own)
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
