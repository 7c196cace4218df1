//! Data directories with their owners: made directly as root, else through a helper container.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::docker::engine;
use crate::docker::helper::Helper;
use crate::host::user::{self, Owner};
use crate::plan::Plan;
use crate::setup::generated;
use crate::stack::Stack;
use crate::stack::manifest::DataDirectory;

/// Every directory that `stack` wants.
pub fn wanted(stack: &Stack) -> Vec<DataDirectory> {
    let mut wanted = stack.definition.own_directories.clone();
    for service in &stack.definition.services {
        wanted.extend(service.data.clone());
        wanted.extend(service.generated.as_ref().map(|generated| DataDirectory {
            path: generated::folder(service),
            owner: Some(generated.owner),
            mode: 0o700,
        }));
    }
    wanted
}

/// What a directory is like; `None` where it is missing.
///
/// # Errors
/// When it is there, but something else than a directory, or may not be looked at.
pub fn inspect(path: &PathBuf) -> Result<Option<(Owner, u32)>> {
    match fs::metadata(path) {
        Ok(facts) if facts.is_dir() => {
            Ok(Some((Owner { uid: facts.uid(), gid: facts.gid() }, facts.mode() & 0o7777)))
        }
        Ok(_) => anyhow::bail!("{} is a file where a directory should be", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("looking at {}", path.display())),
    }
}

/// The steps that make what is missing and mend what has another owner or mode.
///
/// # Errors
/// When a directory cannot be looked at, or the engine is needed and does not answer.
pub fn plan(stack: &Stack) -> Result<Plan> {
    let mut plan = Plan::new();
    let mut wrong = Vec::new();
    // Elsewhere the host shows other owners than the containers see, or other files altogether.
    let visible = engine::shares_files()?;
    for directory in wanted(stack) {
        let path = stack.data_path(&directory);
        let is_own = directory.owner.is_none();
        let right = match inspect(&path)? {
            // An own directory stays with the user who made it, whoever runs this.
            Some((owner, mode)) => {
                mode == directory.mode && (is_own || owner == Stack::owner(&directory))
            }
            None => false,
        };
        if !(visible && right) {
            wrong.push(directory);
        }
    }
    if wrong.is_empty() {
        return Ok(plan);
    }
    if visible && user::is_root() {
        for directory in &wrong {
            let path = stack.data_path(directory);
            let owner = match (directory.owner, inspect(&path)?) {
                (None, Some((owner, _))) => owner,
                _ => Stack::owner(directory),
            };
            let what = format!("make {} ({owner}, {:04o})", path.display(), directory.mode);
            plan.make_directory(what, path, owner, directory.mode);
        }
        return Ok(plan);
    }
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
    let names: Vec<_> = wrong.iter().map(|directory| directory.path.as_str()).collect();
    let what = format!(
        "make {} in {} (in a container, as root)",
        names.join(", "),
        stack.data_dir().display()
    );
    plan.run(what, helper.cmd(SCRIPT, &arguments(&wrong)));
    Ok(plan)
}

/// Takes triples of path, owner and mode.
const SCRIPT: &str = r#"while [ $# -gt 0 ]; do mkdir -p "/data/$1"; chown "$2" "/data/$1"; chmod "$3" "/data/$1"; shift 3; done"#;

fn arguments(directories: &[DataDirectory]) -> Vec<String> {
    directories
        .iter()
        .flat_map(|directory| {
            let mode = format!("{:04o}", directory.mode);
            [directory.path.clone(), Stack::owner(directory).to_string(), mode]
        })
        .collect()
}
