//! Where scheduled work is at home: the data directory, its owner, the installed program.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

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

    /// Fails when we are neither the owner nor root, or no scheduler can be given the paths.
    ///
    /// # Errors
    /// `schedule.permission`, `schedule.path`.
    pub fn check(&self) -> Result<()> {
        if !user::is_root() && user::owner().uid != self.owner.uid {
            let found =
                format!("the data directory {} belongs to {}", self.data_dir.display(), self.owner);
            return Err(Problem::failed("schedule.permission", found)
                .mend("run the command as that user, or as root")
                .into());
        }
        // Units and entries of cron are lines: not every path can stand in one.
        for path in [&self.repository, &self.data_dir] {
            let is_fit =
                |text: &str| !text.contains(char::is_control) && !text.ends_with(['\\', ' ']);
            if !path.to_str().is_some_and(is_fit) {
                let found = format!("no scheduler can be given the path {}", path.display());
                let mend = "move it to one without control characters, that does not end in a space or a backslash";
                return Err(Problem::failed("schedule.path", found).mend(mend).into());
            }
        }
        Ok(())
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
