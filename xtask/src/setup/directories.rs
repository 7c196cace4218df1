//! Data directories with their owners: made directly where we may, else through a helper container.

use anyhow::Result;

use super::inspect::{Found, inspect};
use super::origin;
use crate::data::Claim;
use crate::docker::helper::Helper;
use crate::docker::location::Location;
use crate::host::user::{self};
use crate::plan::Plan;
use crate::setup::generated;
use crate::stack::Stack;
use crate::stack::manifest::DataDirectory;

/// Every directory that `stack` wants.
pub fn wanted(stack: &Stack) -> Vec<DataDirectory> {
    let mut wanted = stack.definition.own_directories.clone();
    for service in &stack.definition.services {
        wanted.extend(service.data.clone());
        let Some(generated) = &service.generated else { continue };
        let folder = generated::folder(service);
        let secrets = generated.notifications.as_ref().map(|_| format!("{folder}/secrets"));
        wanted.extend(std::iter::once(folder).chain(secrets).map(|path| DataDirectory {
            path,
            owner: Some(generated.owner),
            mode: 0o700,
            quota: None,
            enforced_by: None,
        }));
    }
    wanted
}

/// Those that hold the data of its services.
pub fn of_services(stack: &Stack) -> impl Iterator<Item = &DataDirectory> {
    stack.definition.services.iter().filter_map(|service| service.data.as_ref())
}

/// The steps that make what is missing, mend what has another owner or mode, and put on record whose
/// all of it is.
///
/// # Errors
/// When a directory cannot be looked at, or the engine is needed and does not answer.
pub fn plan(stack: &Stack, claim: &Claim) -> Result<Plan> {
    let mut plan = Plan::new();
    let mut wrong = Vec::new();
    let place = Location::current()?;
    for directory in wanted(stack) {
        let path = stack.data_path(&directory);
        let is_own = directory.owner.is_none();
        // An own directory stays with the user who made it, whoever runs this; of the others,
        // only an engine that sees the same owners can be believed.
        let is_known = if is_own { place.shares_paths() } else { place.shares_owners() };
        let right = match inspect(&path)? {
            Found::Directory(owner, mode) => {
                mode == directory.mode && (is_own || owner == Stack::owner(&directory))
            }
            // The directory around it is closed only once all in it is right.
            Found::Hidden => true,
            Found::Nothing | Found::Link => false,
        };
        if !(is_known && right) {
            wrong.push(directory);
        }
    }
    let (own, of_services): (Vec<_>, Vec<_>) =
        wrong.into_iter().partition(|directory| directory.owner.is_none());
    if !own.is_empty() {
        plan.append(make_own(stack, &own, place)?);
    }
    if !of_services.is_empty() {
        // First, so that a directory without a record is none of ours.
        if place.shares_paths() {
            plan.append(origin::made_empty(stack)?);
        }
        let is_direct = user::is_root() && place.shares_owners();
        let make = if is_direct { make_directly } else { make_in_container };
        plan.append(make(stack, &of_services)?);
    }
    plan.append(claim.plan(stack)?);
    Ok(plan)
}

/// In a container only where root is needed to make them in `DATA_DIR`, or they are elsewhere:
/// an engine whose user ids are shifted would give them to somebody who does not exist.
fn make_own(stack: &Stack, directories: &[DataDirectory], place: Location) -> Result<Plan> {
    let is_direct = user::is_root() || place != Location::Here;
    if is_direct && place.shares_paths() {
        make_directly(stack, directories)
    } else {
        make_in_container(stack, directories)
    }
}

fn make_directly(stack: &Stack, directories: &[DataDirectory]) -> Result<Plan> {
    let mut plan = Plan::new();
    for directory in directories {
        let path = stack.data_path(directory);
        let owner = match (directory.owner, inspect(&path)?) {
            (None, Found::Directory(owner, _)) => owner,
            _ => Stack::owner(directory),
        };
        let what = format!("make {} ({owner}, {:04o})", path.display(), directory.mode);
        plan.make_directory(what, path, owner, directory.mode);
    }
    Ok(plan)
}

fn make_in_container(stack: &Stack, directories: &[DataDirectory]) -> Result<Plan> {
    let mut plan = Plan::new();
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
    let names: Vec<_> = directories.iter().map(|directory| directory.path.as_str()).collect();
    let what = format!(
        "make {} in {} (in a container, as root)",
        names.join(", "),
        stack.data_dir().display()
    );
    plan.run(what, helper.cmd(SCRIPT, &arguments(directories)));
    Ok(plan)
}

/// Takes pairs of path and owner, then of path and mode: a user sees what is missing in a directory
/// only until that is closed to others.
const SCRIPT: &str = r#"
while [ "$1" != modes ]; do mkdir -p "/data/$1"; chown "$2" "/data/$1"; shift 2; done
shift
while [ $# -gt 0 ]; do chmod "$2" "/data/$1"; shift 2; done"#;

/// Outer directories come before inner ones, and are closed after them.
fn arguments(directories: &[DataDirectory]) -> Vec<String> {
    let owners = directories
        .iter()
        .flat_map(|directory| [directory.path.clone(), Stack::owner(directory).to_string()]);
    let modes = directories
        .iter()
        .rev()
        .flat_map(|directory| [directory.path.clone(), format!("{:04o}", directory.mode)]);
    owners.chain(["modes".to_owned()]).chain(modes).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_directory_is_closed_only_once_all_in_it_is_right_wherever_making_it_ends() {
        // Ends the script instead of its command number `$limit`.
        const ENDING: &str = r#"
step() { n=$((n + 1)); [ $n -le $limit ] || exit 9; command "$@"; }
mkdir() { step mkdir "$@"; }
chown() { step chown "$@"; }
chmod() { step chmod "$@"; }
n=0"#;
        let me = user::owner();
        let directory = |path: &str| DataDirectory {
            path: path.to_owned(),
            owner: Some(me),
            mode: 0o700,
            quota: None,
            enforced_by: None,
        };
        let args = arguments(&[directory("outer"), directory("outer/inner")]);
        for limit in 0..=6 {
            let folder = tempfile::tempdir().unwrap();
            let script = SCRIPT.replace("/data", folder.path().to_str().unwrap());
            let run = |limit: u32| {
                let script = format!("umask 022; limit={limit}; {ENDING}; {script}");
                let mut sh = Command::new("sh");
                sh.args(["-euc", &script, "sh"]).args(&args).status().unwrap().code()
            };
            assert_eq!(run(limit), Some(if limit == 6 { 0 } else { 9 }));
            let found = |path: &str| inspect(&folder.path().join(path)).unwrap();
            let right = Found::Directory(me, 0o700);
            assert!(found("outer") != right || found("outer/inner") == right, "{limit}");
            assert_eq!(run(6), Some(0));
            assert_eq!((found("outer"), found("outer/inner")), (right, right));
        }
    }
}
