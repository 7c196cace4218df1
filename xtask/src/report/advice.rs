//! What mends a failure: ways out, and the command lines of this program that they name.

use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Serialize, Serializer};

use crate::process::quote;

/// The options that name a copy, as the user typed them.
static TYPED: OnceLock<String> = OnceLock::new();

/// Has every command line that names no stack carry these options.
pub fn carry(project: Option<&str>, data_dir: Option<&Path>) {
    let _ = TYPED.set(options(project, data_dir));
}

fn options(project: Option<&str>, data_dir: Option<&Path>) -> String {
    let project = project.map(|name| format!(" --project {name}"));
    let data_dir = data_dir.map(|dir| format!(" --data-dir {}", quote(&dir.to_string_lossy())));
    [project, data_dir].into_iter().flatten().collect()
}

/// The stack that a command line acts on, and the options that name its copy.
/// [`crate::stack::Stack::on`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct On {
    stack: String,
    options: String,
}

impl On {
    /// The stack that `word` names, in the copy of `project` and `data_dir`.
    pub fn new(word: &str, project: Option<&str>, data_dir: Option<&Path>) -> Self {
        Self { stack: word.to_owned(), options: options(project, data_dir) }
    }
}

/// A command line of this program, as a person should type it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the command of its name")]
pub enum Xtask {
    AlertsList,
    AlertsRender,
    /// Ends a silence.
    AlertsUnsilence(String),
    /// A set of everything that is up.
    Backup,
    /// Into a backup folder that begins anew.
    BackupFresh,
    BackupOf(On),
    /// Of the stack, leaving a service out: the person fills in which to take.
    BackupOnly(On),
    BackupDrill,
    BackupDrillSet(On, String),
    /// Removes the data that restores have kept.
    BackupDrop(On),
    BackupList,
    BackupPrune,
    BackupRestore(On, String),
    /// Unpacks a set into a new directory.
    BackupRestoreTo(On, String),
    BackupShow(On, String),
    /// Puts the data back that was there before the last restore.
    BackupUndo(On),
    BackupVerify,
    BackupVerifySet(On, String),
    Check,
    CheckFix,
    Doctor,
    DoctorFix,
    DoctorFixOn(On),
    Down(On),
    DownAll,
    /// `down` that removes the data too.
    DownPurge(On),
    EnvCheckFix(On),
    EnvInit(On),
    /// Writes a file that is gone from what the containers still have.
    EnvInitFromContainers(On),
    ImagesBuild,
    Logs(On, String),
    Restart(On, String),
    RotateLogs,
    RotateLogsOf(On),
    /// What a scheduled job runs.
    Scheduled(Vec<String>),
    /// What a person has meant who typed something like it.
    Meant(Vec<String>),
    ScheduleInstall,
    ScheduleInstallCron,
    SetPassword(On, String),
    Setup(On),
    SetupAll,
    /// The program inside a service.
    Shell(On, String),
    Status(On),
    Test,
    TestFix,
    TestLong,
    TestNoEngine,
    Up(On),
    /// On whatever lies in the data directory now.
    UpFresh(On),
    UpOffline(On),
    UrlsReveal,
    UrlsRevealOn(On),
}

impl Xtask {
    /// The words before the stack, the stack, and the words after it.
    fn parts(&self) -> (&'static str, Option<&On>, Vec<&str>) {
        use Xtask as X;
        match self {
            X::AlertsList => ("alerts list", None, vec![]),
            X::AlertsRender => ("alerts render", None, vec![]),
            X::AlertsUnsilence(id) => ("alerts unsilence", None, vec![id]),
            X::Backup => ("backup", None, vec![]),
            X::BackupDrill => ("backup drill", None, vec![]),
            X::BackupDrillSet(on, set) => ("backup drill", Some(on), vec![set]),
            X::BackupDrop(on) => ("backup restore", Some(on), vec!["--drop"]),
            X::BackupFresh => ("backup", None, vec!["--fresh"]),
            X::BackupList => ("backup list", None, vec![]),
            X::BackupOf(on) => ("backup", Some(on), vec![]),
            X::BackupOnly(on) => ("backup", Some(on), vec!["--only", "SERVICE"]),
            X::BackupPrune => ("backup prune", None, vec![]),
            X::BackupRestore(on, set) => ("backup restore", Some(on), vec![set]),
            X::BackupRestoreTo(on, set) => ("backup restore", Some(on), vec![set, "--to", "DIR"]),
            X::BackupShow(on, set) => ("backup show", Some(on), vec![set]),
            X::BackupUndo(on) => ("backup restore", Some(on), vec!["--undo"]),
            X::BackupVerify => ("backup verify", None, vec![]),
            X::BackupVerifySet(on, set) => ("backup verify", Some(on), vec![set]),
            X::Check => ("check", None, vec![]),
            X::CheckFix => ("check --fix", None, vec![]),
            X::Doctor => ("doctor", None, vec![]),
            X::DoctorFix => ("doctor --fix", None, vec![]),
            X::DoctorFixOn(on) => ("doctor", Some(on), vec!["--fix"]),
            X::Down(on) => ("down", Some(on), vec![]),
            X::DownAll => ("down all", None, vec![]),
            X::DownPurge(on) => ("down", Some(on), vec!["--purge"]),
            X::EnvCheckFix(on) => ("env check", Some(on), vec!["--fix"]),
            X::EnvInit(on) => ("env init", Some(on), vec![]),
            X::EnvInitFromContainers(on) => ("env init", Some(on), vec!["--from-containers"]),
            X::ImagesBuild => ("images build", None, vec![]),
            X::Logs(on, service) => ("logs", Some(on), vec![service]),
            X::Restart(on, service) => ("restart", Some(on), vec![service]),
            X::RotateLogs => ("rotate-logs", None, vec![]),
            X::RotateLogsOf(on) => ("rotate-logs", Some(on), vec![]),
            X::Meant(words) => ("", None, words.iter().map(String::as_str).collect()),
            X::Scheduled(words) => ("", None, words.iter().map(String::as_str).collect()),
            X::ScheduleInstall => ("schedule install", None, vec![]),
            X::ScheduleInstallCron => ("schedule install --with cron", None, vec![]),
            X::SetPassword(on, service) => ("env set-password", Some(on), vec![service]),
            X::Setup(on) => ("setup", Some(on), vec![]),
            X::SetupAll => ("setup", None, vec![]),
            X::Shell(on, service) => ("shell", Some(on), vec![service]),
            X::Status(on) => ("status", Some(on), vec![]),
            X::Test => ("test", None, vec![]),
            X::TestFix => ("test --fix", None, vec![]),
            X::TestLong => ("test --long", None, vec![]),
            X::TestNoEngine => ("test --no-engine", None, vec![]),
            X::Up(on) => ("up", Some(on), vec![]),
            X::UpFresh(on) => ("up", Some(on), vec!["--fresh"]),
            X::UpOffline(on) => ("up", Some(on), vec!["--offline"]),
            X::UrlsReveal => ("urls --reveal", None, vec![]),
            X::UrlsRevealOn(on) => ("urls", Some(on), vec!["--reveal"]),
        }
    }
}

/// `cargo xtask up dev --project NAME`.
impl fmt::Display for Xtask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, on, after) = self.parts();
        f.write_str("cargo xtask")?;
        let stack = on.map(|on| on.stack.as_str());
        for word in before.split_whitespace().chain(stack).chain(after) {
            write!(f, " {}", quote(word))?;
        }
        let typed = || TYPED.get().map_or("", String::as_str);
        f.write_str(on.map_or_else(typed, |on| &on.options))
    }
}

/// The ways out of a failure, the best first. None where nothing can be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advice(Vec<String>);

impl Advice {
    /// No way out yet.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds a way that is taken instead of those before.
    pub fn or(mut self, way: impl fmt::Display) -> Self {
        self.0.push(if self.0.is_empty() { way.to_string() } else { format!("or {way}") });
        self
    }

    /// Adds everything that `other` says.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether there is no way out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `  → …`, a line for each way.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|way| format!("  → {way}"))
    }

    /// All of it in one line, for JSON and annotations; `None` where it is empty.
    pub fn one_line(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.0.join("; "))
    }
}

impl Serialize for Advice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.one_line().serialize(serializer)
    }
}

/// One way out.
impl<T: fmt::Display> From<T> for Advice {
    fn from(way: T) -> Self {
        Self(vec![way.to_string()])
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::Xtask as X;
    use super::*;

    fn on() -> On {
        On::new("dev", Some("copy"), Some(Path::new("/with a space")))
    }

    /// Each variant once.
    fn every() -> Vec<X> {
        let word = || "redis".to_owned();
        vec![
            X::AlertsList,
            X::AlertsRender,
            X::AlertsUnsilence(word()),
            X::Backup,
            X::BackupDrill,
            X::BackupDrillSet(on(), word()),
            X::BackupDrop(on()),
            X::BackupFresh,
            X::BackupList,
            X::BackupOf(on()),
            X::BackupOnly(on()),
            X::BackupPrune,
            X::BackupRestore(on(), word()),
            X::BackupRestoreTo(on(), word()),
            X::BackupShow(on(), word()),
            X::BackupUndo(on()),
            X::BackupVerify,
            X::BackupVerifySet(on(), word()),
            X::Check,
            X::CheckFix,
            X::Doctor,
            X::DoctorFix,
            X::DoctorFixOn(on()),
            X::Down(on()),
            X::DownAll,
            X::DownPurge(on()),
            X::EnvCheckFix(on()),
            X::EnvInit(on()),
            X::EnvInitFromContainers(on()),
            X::ImagesBuild,
            X::Logs(on(), word()),
            X::Restart(on(), word()),
            X::RotateLogs,
            X::RotateLogsOf(on()),
            X::Meant(vec!["backup".to_owned(), "list".to_owned()]),
            X::Scheduled(vec!["backup".to_owned(), "prune".to_owned()]),
            X::ScheduleInstall,
            X::ScheduleInstallCron,
            X::SetPassword(on(), word()),
            X::Setup(on()),
            X::SetupAll,
            X::Shell(on(), word()),
            X::Status(on()),
            X::Test,
            X::TestFix,
            X::TestLong,
            X::TestNoEngine,
            X::Up(on()),
            X::UpFresh(on()),
            X::UpOffline(on()),
            X::UrlsReveal,
            X::UrlsRevealOn(on()),
        ]
    }

    /// As a shell splits a line that [`quote`] has made.
    fn words(line: &str) -> Vec<OsString> {
        let mut quoted = false;
        let fields = line.split(|c| {
            quoted ^= c == '\'';
            c == ' ' && !quoted
        });
        fields.map(|field| field.replace('\'', "").into()).collect()
    }

    #[test]
    fn every_command_line_that_is_advised_can_be_typed() {
        let every = every();
        let source = include_str!("advice.rs").lines();
        let arms =
            source.filter(|line| line.trim_start().starts_with("X::") && line.contains("=>"));
        assert_eq!(every.len(), arms.count(), "each variant is parsed");
        for command in every {
            let line = command.to_string();
            let words = words(&line).split_off(1);
            assert!(crate::cli::parse(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_command_line_stays_on_the_copy_that_is_meant() {
        assert_eq!(
            X::Up(on()).to_string(),
            "cargo xtask up dev --project copy --data-dir '/with a space'"
        );
        assert_eq!(X::DoctorFix.to_string(), "cargo xtask doctor --fix");
    }

    #[test]
    fn only_this_file_writes_command_lines() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        for file in crate::host::files::below(&source).unwrap() {
            let shown = file.strip_prefix(&source).unwrap().display().to_string();
            if OWN_NAME.contains(&shown.as_str()) || !shown.ends_with(".rs") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            for (at, line) in text.lines().enumerate() {
                let code = line.trim_start();
                if code.contains("cargo xtask") && !code.starts_with("//") {
                    found.push(format!("{shown}:{}: {code}", at + 1));
                }
            }
        }
        assert!(found.is_empty(), "use `Xtask`:\n{}", found.join("\n"));
    }

    /// Files that may name the program: its help, who holds a lock, and what a generated file says
    /// of its maker.
    const OWN_NAME: &[&str] = &[
        "report/advice.rs",
        "cli.rs",
        "alerts/render.rs",
        "host/lock/holder.rs",
        "host/lock/tests.rs",
    ];

    #[test]
    fn ways_are_told_apart() {
        let advice = Advice::from("make room").or(X::BackupPrune);
        let lines: Vec<_> = advice.lines().collect();
        assert_eq!(lines, ["  → make room", "  → or cargo xtask backup prune"]);
        let one_line = advice.one_line().unwrap();
        assert_eq!(one_line, "make room; or cargo xtask backup prune");
    }
}
