//! Jobs as entries of cron (crontab(5)): a file in `/etc/cron.d` for root, the user's own table
//! otherwise.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::home::Home;
use crate::host::files::read_optional;
use crate::host::user;
use crate::plan::Plan;
use crate::process::{Cmd, find, quote};
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::stack::job::Job;

const FOLDER: &str = "/etc/cron.d";

/// Bytes of the longest command that every cron takes (`MAX_COMMAND` of Vixie's).
const LONGEST: usize = 990;

/// Where entries go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// A file of our own.
    File(PathBuf),
    /// Part of the user's table.
    OfUser,
}

/// Where entries of `home` go.
///
/// # Errors
/// `schedule.no-scheduler` when there is no cron.
pub fn table(home: &Home) -> Result<Table> {
    if user::is_root() && Path::new(FOLDER).is_dir() {
        return Ok(Table::File(Path::new(FOLDER).join(&home.name)));
    }
    if find("crontab").is_ok() {
        return Ok(Table::OfUser);
    }
    Err(Problem::prerequisite(
        "schedule.no-scheduler",
        "neither systemd nor cron is here to start anything",
    )
    .mend("install cron; on Debian and Ubuntu: sudo apt-get install cron")
    .into())
}

/// The entries, between marks, so that they can be found again.
fn entries(
    home: &Home,
    jobs: &[Job],
    environment: &[(String, String)],
    user: Option<&str>,
) -> Result<String> {
    // Settings of the table itself would hold for the user's own entries below.
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
    let user = user.map(|user| format!("{user} ")).unwrap_or_default();
    let mut text = format!("{}\n", begin(home));
    for job in jobs {
        let mut words = vec!["cd".to_owned(), quote(&home.repository.to_string_lossy())];
        words.push("&&".to_owned());
        words.extend(environment.clone());
        words.extend(home.command(&job.name).iter().map(|word| quote(word)));
        if job.jitter > 0 {
            words.push(format!("--jitter {}", job.jitter));
        }
        text.push_str(&format!("{} {user}{}\n", job.cron(), command(&words.join(" "))?));
    }
    Ok(text + &end(home) + "\n")
}

/// A shell's line as the command of an entry: a `%` would end it, and `\` stands before one that
/// does not. Before another `\`, Vixie's cron takes it away and cronie leaves it.
///
/// # Errors
/// When not every cron reads it as it was: it ends at a line break, and at a thousand bytes.
fn command(line: &str) -> Result<String> {
    let line = portable(line);
    let command = line.replace('%', "\\%");
    let why = if command.contains(['\n', '\r', '\0']) {
        "a path or a variable has a line break"
    } else if line.contains(r"\\") || line.contains(r"\%") {
        "a path or a variable has a backslash that crons read differently"
    } else if command.len() > LONGEST {
        "its command line is longer than cron takes"
    } else {
        return Ok(command);
    };
    let found = format!("a job cannot be an entry of cron: {why}");
    let mend = "unset DOCKER_CONFIG, shorten PATH, or move the repository or the data";
    Err(Problem::failed("schedule.cron-line", found).mend(mend).into())
}

/// The same line for a shell, with a quote in a quoted word written without a backslash.
fn portable(line: &str) -> String {
    line.replace(r"'\''", r#"'"'"'"#)
}

fn begin(home: &Home) -> String {
    format!("# BEGIN {}: written by `{}`", home.name, Xtask::ScheduleInstall)
}

fn end(home: &Home) -> String {
    format!("# END {}", home.name)
}

/// `text` without our entries.
fn without(home: &Home, text: &str) -> String {
    let mut is_ours = false;
    let mut rest = String::new();
    for line in text.lines() {
        is_ours |= line == begin(home);
        if !is_ours {
            rest.push_str(line);
            rest.push('\n');
        }
        is_ours &= line != end(home);
    }
    rest
}

/// The user's table; an empty one where there is none.
fn of_user() -> Result<String> {
    let output = Cmd::new("crontab").arg("-l").output()?;
    Ok(if output.success() { output.stdout } else { String::new() })
}

/// What has the jobs run from now on, and no others.
///
/// # Errors
/// When the table cannot be read, or the owner has no name.
pub fn install(home: &Home, jobs: &[Job], environment: &[(String, String)]) -> Result<Plan> {
    let mut plan = Plan::new();
    match table(home)? {
        Table::File(path) => {
            let user = user::name_of(home.owner.uid).ok_or_else(|| {
                Problem::failed(
                    "schedule.no-user",
                    format!(
                        "the owner {} of {} has no name in /etc/passwd, which cron needs",
                        home.owner,
                        home.data_dir.display()
                    ),
                )
                .mend(format!("as that user: {}", Xtask::ScheduleInstall))
            })?;
            let text = entries(home, jobs, environment, Some(&user))?;
            if read_optional(&path)?.as_ref() != Some(&text) {
                plan.write_openly(format!("write {}", path.display()), path, text, 0o644);
            }
        }
        Table::OfUser => {
            let before = of_user()?;
            let text = without(home, &before) + &entries(home, jobs, environment, None)?;
            if text != before {
                plan.run(
                    "write our entries into your crontab",
                    Cmd::new("crontab").arg("-").stdin(text),
                );
            }
        }
    }
    Ok(plan)
}

/// What takes the jobs away again.
///
/// # Errors
/// When the table cannot be read.
pub fn remove(home: &Home) -> Result<Plan> {
    let mut plan = Plan::new();
    let file = Path::new(FOLDER).join(&home.name);
    if user::is_root() && file.exists() {
        plan.run(
            format!("remove {}", file.display()),
            Cmd::new("rm").args(["-f", "--"]).arg(&file),
        );
    }
    if find("crontab").is_ok() {
        let before = of_user()?;
        let text = without(home, &before);
        if text != before {
            plan.run(
                "take our entries out of your crontab",
                Cmd::new("crontab").arg("-").stdin(text),
            );
        }
    }
    Ok(plan)
}

/// Whether entries of ours are there.
pub fn is_installed(home: &Home) -> bool {
    let in_file = Path::new(FOLDER).join(&home.name).exists();
    in_file
        || find("crontab").is_ok()
            && of_user().is_ok_and(|text| text.lines().any(|line| line == begin(home)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::user::Owner;

    #[test]
    fn our_entries_come_and_go_and_others_stay() {
        let home = Home {
            repository: "/a b/50%".into(),
            data_dir: "/data".into(),
            owner: Owner { uid: 1, gid: 1 },
            name: "case-interview".to_owned(),
            options: Vec::new(),
        };
        let jobs: Vec<Job> =
            [r#"{"name":"a","command":["b"],"every":"day","at":"02:30","jitter":5}"#]
                .map(|text| serde_json::from_str(text).unwrap())
                .into();
        let text = entries(&home, &jobs, &[("PATH".to_owned(), "/bin:/a b".to_owned())], None);
        let text = text.unwrap();
        let expected = r"30 2 * * * cd '/a b/50\%' && PATH='/bin:/a b' /data/state/bin/xtask schedule run a --jitter 5";
        assert!(text.contains(expected), "{text}");
        let others = "# mine\n1 1 * * * true\n";
        assert_eq!(without(&home, &format!("{others}{text}")), others);
        assert_eq!(without(&home, &format!("{text}{others}")), others);
    }

    /// As cron reads it (do_command.c): the first bare `%` ends the command. A backslash goes before
    /// one of `escaped`.
    fn read(command: &str, escaped: &str) -> String {
        let (mut text, mut signs) = (String::new(), command.chars());
        while let Some(sign) = signs.next() {
            match sign {
                '\\' => match signs.next() {
                    Some(next) if escaped.contains(next) => text.push(next),
                    next => text.extend(['\\'].into_iter().chain(next)),
                },
                '%' => break,
                sign => text.push(sign),
            }
        }
        text
    }

    #[test]
    fn every_line_is_read_as_it_was_by_every_cron_or_refused() {
        const DOUBTFUL: [&str; 5] = ["\n", "\r", "\0", r"\\", r"\%"];
        crate::garble::text(|text| match command(text) {
            Ok(command) => {
                assert_eq!(read(&command, "%"), portable(text), "cronie");
                assert_eq!(read(&command, r"%\"), portable(text), "Vixie's");
            }
            Err(_) => assert!(DOUBTFUL.iter().any(|one| portable(text).contains(one)), "{text:?}"),
        });
        let quoted = quote("/home/o'brien/50%");
        assert_eq!(command(&quoted).unwrap(), r#"'/home/o'"'"'brien/50\%'"#);
        assert!(command(&"x".repeat(2000)).is_err());
    }
}
