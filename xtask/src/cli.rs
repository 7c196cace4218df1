//! The list of commands and the global options.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{
    check, completions, doctor, down, env, images, logs, metrics, restart, rotate_logs, schedule,
    setup, shell, status, test, up, urls,
};

/// Docker infrastructure of the Case Interview Practice Platform
///
/// STACK is `dev`, or `all`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
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
    /// Answer questions with yes
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Print what would be done, with the exact commands, and change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Wait while another command is at work on the project, instead of failing
    #[arg(long, global = true)]
    pub wait: bool,
    /// Where the data lies, for a stack that has no .env yet
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
    /// Also into a file or pipe.
    Always,
    /// Nowhere.
    Never,
}

/// The commands; each is a file in `commands/`.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each command's Args carries its help")]
pub enum Command {
    Doctor(doctor::Args),
    Setup(setup::Args),
    Up(up::Args),
    Down(down::Args),
    Restart(restart::Args),
    Status(status::Args),
    Urls(urls::Args),
    Logs(logs::Args),
    RotateLogs(rotate_logs::Args),
    Schedule(schedule::Args),
    Metrics(metrics::Args),
    Shell(shell::Args),
    Env(env::Args),
    Images(images::Args),
    Check(check::Args),
    Test(test::Args),
    Completions(completions::Args),
}

/// What Compose takes for a project's name.
fn project_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(fits)
    {
        Ok(text.to_owned())
    } else {
        Err("a project's name has lower-case letters, digits, `-` and `_`, and begins with a letter or digit".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
