//! The list of commands and the global options.

mod help;
pub mod job;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::commands::{
    alerts, backup, check, completions, doctor, down, env, images, logs, metrics, restart,
    rotate_logs, schedule, setup, shell, status, test, up, urls,
};
use crate::report::advice::Xtask;

/// Docker infrastructure of the Case Interview Practice Platform
///
/// Where STACK is optional, leaving it out means every stack.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
#[command(after_help = "Begin with: cargo xtask up dev")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
}

/// What holds for every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print the result as one JSON document on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Print every command that runs, and the ids of findings
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Print warnings, errors and results only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Answer every question with yes
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Print the steps and their commands, and change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Wait for another command on the same project to end, instead of failing
    #[arg(long, global = true)]
    pub wait: bool,
    /// The data directory, for a stack that has no .env yet
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Another copy beside the usual one, with its own env file, ports and data
    #[arg(long, global = true, value_name = "NAME", value_parser = project_name)]
    pub project: Option<String>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Into files and pipes too.
    Always,
    /// Never.
    Never,
}

/// The commands; each is a file in `commands/`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each command's Args carries its help")]
pub enum Command {
    Doctor(doctor::Args),
    Setup(setup::Args),
    #[command(visible_alias = "start")]
    Up(up::Args),
    #[command(visible_alias = "stop")]
    Down(down::Args),
    Restart(restart::Args),
    #[command(visible_alias = "ps")]
    Status(status::Args),
    Urls(urls::Args),
    Logs(logs::Args),
    RotateLogs(rotate_logs::Args),
    Schedule(schedule::Args),
    Metrics(metrics::Args),
    Shell(shell::Args),
    Alerts(alerts::Args),
    Env(env::Args),
    Backup(backup::Args),
    Images(images::Args),
    Check(check::Args),
    Test(test::Args),
    Completions(completions::Args),
}

/// The whole command line, with the names of stacks and services as stacks.toml has them, for
/// help and completion.
pub fn command() -> clap::Command {
    words::teach(Cli::command())
}

/// As [`command`], with the help that a person reads.
pub fn with_help() -> clap::Command {
    help::shorten(command())
}

/// Reads a command line.
///
/// # Errors
/// clap's: it makes no sense, or asks for help.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = with_help().try_get_matches_from(line);
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Err(error) if asks_for_help_on_help(&error) => {
            parse(["cargo xtask", "--help"].map(OsString::from))
        }
        other => other,
    }
}

/// `help --help`, which clap takes for a command that there is not.
fn asks_for_help_on_help(error: &clap::Error) -> bool {
    let word = error.get(ContextKind::InvalidSubcommand);
    error.kind() == ErrorKind::InvalidSubcommand
        && matches!(word, Some(ContextValue::String(word)) if word == "--help" || word == "-h")
}

/// What a command line that makes no sense lacks, and how it should be.
pub fn explain(error: &clap::Error) -> (String, String) {
    let text = error.render().to_string();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.trim_start_matches("error: ").split("\n\n").map(one_line);
    let found = paragraphs.next().unwrap_or_default();
    let plain = |text: String| match text.split_once(": ") {
        Some(("tip", tip)) => tip.to_owned(),
        Some(("Usage", usage)) => format!("usage: {usage}"),
        _ => text.replace("For more information, try '--help'.", "`--help` says more"),
    };
    let mut mend: Vec<_> = paragraphs.map(plain).filter(|text| !text.is_empty()).collect();
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) {
        let ways = meant(word).into_iter().map(|way| way.to_string());
        let ways: Vec<_> = ways.collect();
        if !ways.is_empty() {
            mend = ways;
        }
    }
    if error.kind() == ErrorKind::MissingRequiredArgument && found.contains("<STACK>") {
        mend.insert(0, format!("STACK is one of: {}", words::stacks().join(", ")));
    }
    (found, mend.join("; "))
}

/// What somebody has probably meant by a command that there is not: a program inside a service, or the
/// name of a command below another.
fn meant(word: &str) -> Vec<Xtask> {
    let words =
        |words: &[&str]| Xtask::Meant(words.iter().map(|word| (*word).to_owned()).collect());
    if word == "reset" {
        return vec![words(&["down", "--help"])];
    }
    if let Some(shell) = words::shell_with(word) {
        return vec![shell];
    }
    let whole = Cli::command();
    let below = whole.get_subcommands().flat_map(|one| {
        let names = one.get_subcommands().map(clap::Command::get_name);
        names.map(move |name| (one.get_name().to_owned(), name.to_owned()))
    });
    below.filter(|(_, name)| name == word).map(|(above, name)| words(&[&above, &name])).collect()
}

/// What Compose takes for a project's name.
fn project_name(text: &str) -> Result<String, String> {
    if crate::names::is_project(text) {
        Ok(text.to_owned())
    } else {
        Err("a project's name has lower-case letters, digits, `-` and `_`, and begins with a letter or digit".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    fn explained(line: &str) -> (String, String) {
        let line = format!("xtask {line}");
        explain(&parse(line.split(' ').map(OsString::from)).unwrap_err())
    }

    #[test]
    fn a_line_that_makes_no_sense_is_answered_with_one_that_does() {
        let (found, mend) = explained("up");
        assert_eq!(found, "the following required arguments were not provided: <STACK>");
        assert!(mend.starts_with("STACK is one of: dev, "), "{mend}");
        let (found, mend) = explained("status --jsn");
        assert_eq!(found, "unexpected argument '--jsn' found");
        assert!(mend.contains("'--json'"), "{mend}");
    }

    #[test]
    fn what_people_type_is_answered_with_the_command_that_does_it() {
        for (typed, command) in [
            ("psql", "cargo xtask shell dev postgres"),
            ("redis-cli get x", "cargo xtask shell dev redis"),
            ("reset dev", "cargo xtask down --help"),
            ("restore latest", "cargo xtask backup restore"),
            ("drill", "cargo xtask backup drill"),
            ("init", "cargo xtask env init"),
            ("statu dev", "'status'"),
        ] {
            let (_, mend) = explained(typed);
            assert!(mend.contains(command), "{typed}: {mend}");
        }
        let parses = |line: &str| parse(line.split(' ').map(OsString::from)).is_ok();
        for line in ["shell postgres", "shell redis get x", "shell dev redis get x"] {
            assert!(parses(&format!("xtask {line}")), "{line}");
        }
        for line in ["logs -n 3 redis", "logs redis --since 5min", "logs dev --since yesterday"] {
            assert!(parses(&format!("xtask {line}")), "{line}");
        }
        assert!(parses("xtask shell dev postgres -- -c x"));
    }

    #[test]
    fn the_readme_begins_with_two_commands() {
        let readme = include_str!("../../README.md");
        let block = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
        let commands: Vec<_> = block.lines().map(|line| line.split('#').next().unwrap()).collect();
        assert_eq!(commands.len(), 2, "{commands:?}");
        for command in commands {
            let words = command.split_whitespace().skip(1).map(OsString::from);
            assert!(parse(words).is_ok(), "{command}");
            assert!(command.contains("--fix"), "{command}");
        }
    }

    #[test]
    fn every_command_of_the_operators_guide_can_be_typed() {
        const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let guide = include_str!("../../docs/operating.md").replace("$KEY", KEY);
        let lines = guide.lines().filter(|line| line.starts_with("cargo xtask "));
        let commands: Vec<_> = lines.map(|line| line.split('#').next().unwrap()).collect();
        assert!(commands.len() > 15, "{commands:?}");
        for command in commands {
            let words = shlex::split(command).unwrap().into_iter().skip(1).map(OsString::from);
            assert!(parse(words).is_ok(), "{command}");
        }
    }

    #[test]
    fn words_of_compose_mean_what_they_mean_there() {
        let parse = |line: &str| parse(line.split(' ').map(OsString::from)).unwrap().command;
        assert!(matches!(parse("xtask start dev"), Command::Up(_)));
        assert!(matches!(parse("xtask stop dev"), Command::Down(_)));
        assert!(matches!(parse("xtask ps"), Command::Status(_)));
    }

    #[test]
    fn help_on_help_is_help() {
        let error = parse(["xtask", "help", "--help"].map(OsString::from)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayHelp);
    }
}
