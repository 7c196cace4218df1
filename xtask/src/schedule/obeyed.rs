//! What scheduled jobs obey, and whether somebody else could change it: who can, decides what runs
//! as the jobs' user.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::home::Home;
use crate::host::user;
use crate::process::{find, quote};
use crate::report::finding::Problem;

/// Programs that jobs start.
const PROGRAMS: &[&str] = &["docker", "docker-compose", "tar", "sh", "age"];

/// Most places on the way to one path; links in a circle have no end.
const MOST_PLACES: usize = 400;

/// Why a job goes by a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is read, or started.
    Read,
    /// Programs are looked for there.
    Searched,
}

/// Fails where somebody else than root and the owner of `home` can change what jobs go by.
///
/// # Errors
/// `schedule.unsafe`, with the first such place.
pub fn refuse_others(home: &Home) -> Result<()> {
    for (path, role) in obeyed(home)? {
        if let Some(place) = open_place(&path, home.owner.uid) {
            return Err(problem(home, &place, &path, role).into());
        }
    }
    Ok(())
}

fn problem(home: &Home, place: &Path, path: &Path, role: Role) -> Problem {
    let found = format!(
        "other users can write {} and so change what scheduled jobs do, since the jobs use {}",
        place.display(),
        path.display()
    );
    let place = quote(&place.to_string_lossy());
    let owner = home.owner;
    let mend = match role {
        Role::Read => format!("chmod go-w {place}, and give it to root or to {owner}"),
        Role::Searched => {
            format!("take it out of PATH; or chmod go-w {place}, and give it to root or to {owner}")
        }
    };
    Problem::failed("schedule.unsafe", found).mend(mend)
}

/// Every path that jobs go by: what they start, read, and look for programs in.
fn obeyed(home: &Home) -> Result<Vec<(PathBuf, Role)>> {
    let mut paths = vec![home.program(), home.data_dir.join("state")];
    let infrastructure = home.repository.join("infrastructure");
    add_below(&infrastructure, &mut paths)
        .with_context(|| format!("looking at {}", infrastructure.display()))?;
    // The client's settings choose its engine, and its plugins are programs.
    let settings = std::env::var_os("DOCKER_CONFIG").filter(|path| !path.is_empty());
    let settings = settings.map(PathBuf::from).or_else(|| Some(user::home()?.join(".docker")));
    for name in ["config.json", "contexts", "cli-plugins/docker-compose"] {
        paths.extend(settings.iter().map(|folder| folder.join(name)));
    }
    paths.extend(PROGRAMS.iter().filter_map(|name| find(name).ok()));
    let search = std::env::var_os("PATH").unwrap_or_default();
    let searched = std::env::split_paths(&search).map(|folder| (folder, Role::Searched));
    Ok(paths.into_iter().map(|path| (path, Role::Read)).chain(searched).collect())
}

/// Adds `folder` and all below it.
fn add_below(folder: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    paths.push(folder.to_owned());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            add_below(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

/// The first place on the way to `path`, itself included, at which somebody else than root and
/// `owner` can have it lead to something of theirs. Links are followed as the system would.
fn open_place(path: &Path, owner: u32) -> Option<PathBuf> {
    if !path.is_absolute() {
        return Some(path.to_owned());
    }
    let mut ways = vec![path.to_owned()];
    let mut steps = 0;
    while let Some(way) = ways.pop() {
        let mut places: Vec<_> = way.ancestors().collect();
        places.reverse();
        let mut above: Option<(PathBuf, Metadata)> = None;
        for place in places {
            steps += 1;
            if steps > MOST_PLACES {
                return Some(path.to_owned());
            }
            let facts = match place.symlink_metadata() {
                Ok(facts) => facts,
                // Who can write the folder can put it there.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let (folder, facts) = above?;
                    return may_change(&folder, &facts, owner, true).then_some(folder);
                }
                Err(_) => return Some(place.to_owned()),
            };
            if facts.is_symlink() {
                if ![0, owner].contains(&facts.uid()) {
                    return Some(place.to_owned());
                }
                let folder = place.parent().unwrap_or(Path::new("/"));
                let target = folder.join(fs::read_link(place).ok()?);
                let rest = way.strip_prefix(place).unwrap_or(Path::new(""));
                ways.push(if rest.as_os_str().is_empty() { target } else { target.join(rest) });
                break;
            }
            if may_change(place, &facts, owner, place == way) {
                return Some(place.to_owned());
            }
            above = Some((place.to_owned(), facts));
        }
    }
    None
}

/// Whether somebody else than root and `owner` may write a file, or what is in a folder. On the way
/// to something else, in a folder with the sticky bit, nobody can replace what is not theirs.
fn may_change(path: &Path, facts: &Metadata, owner: u32, is_end: bool) -> bool {
    const STICKY: u32 = 0o1000;
    let mode = facts.mode();
    let keeps_entries = facts.is_dir() && mode & STICKY != 0 && !is_end;
    let by_others = mode & 0o002 != 0;
    let by_group = mode & 0o020 != 0 && !user::is_alone_in(owner, facts.gid(), path);
    ![0, owner].contains(&facts.uid()) || ((by_others || by_group) && !keeps_entries)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn folder() -> (tempfile::TempDir, PathBuf, u32) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let owner = fs::metadata(&path).unwrap().uid();
        (folder, path, owner)
    }

    #[test]
    fn a_file_that_others_can_change_or_replace_is_seen_with_the_place() {
        let (_folder, top, owner) = folder();
        let below = top.join("a/b");
        fs::create_dir_all(&below).unwrap();
        let file = below.join("file");
        fs::write(&file, "").unwrap();
        for path in [&top.join("a"), &below] {
            mode(path, 0o755);
        }
        mode(&file, 0o644);
        assert_eq!(open_place(&file, owner), None);
        for (place, bad, good) in
            [(&file, 0o646, 0o644), (&below, 0o757, 0o755), (&top.join("a"), 0o777, 0o755)]
        {
            mode(place, bad);
            assert_eq!(open_place(&file, owner).as_ref(), Some(place), "{}", place.display());
            mode(place, good);
        }
        // With the sticky bit others can add files, which counts where files are looked for.
        mode(&below, 0o1777);
        assert_eq!(open_place(&file, owner), None);
        assert_eq!(open_place(&below, owner), Some(below.clone()));
        assert_eq!(open_place(&below.join("missing/more"), owner), Some(below.clone()));
        mode(&below, 0o755);
        assert_eq!(open_place(&below.join("missing/more"), owner), None);
        assert_eq!(
            open_place(Path::new("bin"), owner),
            Some("bin".into()),
            "where one happens to be"
        );
    }

    #[test]
    fn a_link_is_as_open_as_what_it_leads_to() {
        let (_folder, top, owner) = folder();
        let (safe, open) = (top.join("safe"), top.join("open"));
        for path in [&safe, &open] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), "").unwrap();
            mode(path, 0o755);
        }
        symlink(&open, safe.join("absolute")).unwrap();
        symlink("../open/file", safe.join("relative")).unwrap();
        symlink("circle", safe.join("circle")).unwrap();
        let ways = [safe.join("absolute/file"), safe.join("relative")];
        assert!(ways.iter().all(|way| open_place(way, owner).is_none()));
        mode(&open, 0o777);
        for way in &ways {
            let place = open_place(way, owner).unwrap();
            assert_eq!(place.canonicalize().unwrap(), open, "{}", way.display());
        }
        assert!(open_place(&safe.join("circle"), owner).is_some());
    }

    #[test]
    fn what_belongs_to_somebody_else_is_theirs_to_change() {
        let (_folder, top, owner) = folder();
        if owner != 0 {
            assert_eq!(open_place(&top, owner + 1), Some(top));
            return;
        }
        let file = top.join("file");
        fs::write(&file, "").unwrap();
        symlink("file", top.join("link")).unwrap();
        chown(&file, Some(4321), Some(4321)).unwrap();
        assert_eq!(open_place(&file, 0), Some(file.clone()));
        assert_eq!(open_place(&top.join("link"), 0), Some(file.clone()));
        assert_eq!(open_place(&file, 4321), None);
        // A group that has other members than the owner.
        chown(&file, Some(0), Some(4321)).unwrap();
        mode(&file, 0o664);
        assert_eq!(open_place(&file, 0), None, "nobody is in that group");
    }
}
