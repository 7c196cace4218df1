//! Where scheduled work is at home: the data directory, its owner, the installed program.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::data::known;
use crate::host::user::{self, Owner};
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::stack::Stack;

/// Where scheduled work is at home.
#[derive(Debug, Clone)]
pub struct Home {
    /// The repository, whose files say what a stack is.
    pub repository: PathBuf,
    /// The data directory of every stack that is set up.
    pub data_dir: PathBuf,
    /// Whose the data directory's own folders are; jobs run as this user.
    pub owner: Owner,
    /// Begins the name of everything that is installed.
    pub name: String,
    /// What a job's command line ends with.
    pub options: Vec<String>,
}

impl Home {
    /// Of the stacks that are set up.
    ///
    /// # Errors
    /// When none is, their data has gone, or they keep it in several directories.
    pub fn of(cx: &Context) -> Result<Self> {
        let mut stacks = cx.stacks_by_place(None)?;
        stacks.retain(|stack| stack.env.text().is_some());
        stacks.iter().try_for_each(known::refuse_gone)?;
        let mut data_dirs: Vec<_> = stacks.iter().map(Stack::data_dir).collect();
        data_dirs.dedup();
        let [data_dir] = data_dirs.as_slice() else { return Err(no_home(&data_dirs).into()) };
        let state = data_dir.join("state");
        let facts = fs::metadata(&state).map_err(|_| {
            let found = format!("there is no {}", state.display());
            Problem::prerequisite("schedule.not-set-up", found).mend(Xtask::SetupAll)
        })?;
        let mut options = Vec::new();
        let mut name = "case-interview".to_owned();
        if let Some(project) = &cx.overrides.project {
            options.extend(["--project".to_owned(), project.clone()]);
            name = format!("{name}-{project}");
        }
        Ok(Self {
            repository: cx.root.canonicalize().context("looking for the repository")?,
            data_dir: data_dir.canonicalize().context("looking for the data directory")?,
            owner: Owner { uid: facts.uid(), gid: facts.gid() },
            name,
            options,
        })
    }

    /// The installed copy of this program.
    pub fn program(&self) -> PathBuf {
        self.data_dir.join("state/bin/xtask")
    }

    /// Where the results of jobs are kept.
    pub fn records(&self) -> PathBuf {
        self.data_dir.join("state/schedule")
    }

    /// Where metrics are left for the exporter.
    pub fn metrics(&self) -> PathBuf {
        self.data_dir.join("metrics")
    }

    /// The command line that a scheduler starts for a job.
    pub fn command(&self, job: &str) -> Vec<String> {
        let program = self.program().to_string_lossy().into_owned();
        let fixed = [program, "schedule".to_owned(), "run".to_owned(), job.to_owned()];
        fixed.into_iter().chain(self.options.iter().cloned()).collect()
    }

    /// Fails when we are neither the owner nor root, or when others could put another program
    /// where the scheduler looks for ours.
    ///
    /// # Errors
    /// `schedule.permission`, `schedule.unsafe`.
    pub fn check(&self) -> Result<()> {
        if !user::is_root() && user::owner().uid != self.owner.uid {
            let found =
                format!("the data directory {} belongs to {}", self.data_dir.display(), self.owner);
            return Err(Problem::failed("schedule.permission", found)
                .mend("run the command as that user, or as root")
                .into());
        }
        match self.data_dir.ancestors().find(|folder| others_may_write(folder, self.owner.uid)) {
            None => Ok(()),
            Some(folder) => Err(Problem::failed(
                "schedule.unsafe",
                format!("others may write {}, so they could put another program in the place of the one that is scheduled", folder.display()),
            )
            .mend(format!("chmod go-w {}, and give it to root or to {}", folder.display(), self.owner))
            .into()),
        }
    }
}

fn no_home(data_dirs: &[PathBuf]) -> Problem {
    if data_dirs.is_empty() {
        return Problem::prerequisite("schedule.not-set-up", "no stack is set up")
            .mend(Xtask::SetupAll);
    }
    let named: Vec<_> = data_dirs.iter().map(|path| path.display().to_string()).collect();
    Problem::failed(
        "schedule.several-homes",
        format!("the stacks keep their data in several directories: {}", named.join(", ")),
    )
    .mend("give DATA_DIR the same value in every .env")
}

/// Whether somebody else than root and `owner` may put files into `folder`, or replace them.
fn others_may_write(folder: &Path, owner: u32) -> bool {
    const STICKY: u32 = 0o1000;
    let Ok(facts) = fs::metadata(folder) else { return true };
    let is_open = facts.mode() & 0o022 != 0 && facts.mode() & STICKY == 0;
    is_open || ![0, owner].contains(&facts.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_may_write_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let owner = fs::metadata(folder.path()).unwrap().uid();
        for (mode, expected) in [(0o755, false), (0o775, true), (0o757, true), (0o1777, false)] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(others_may_write(folder.path(), owner), expected, "{mode:o}");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(others_may_write(folder.path(), owner + 1), owner != 0);
    }
}
