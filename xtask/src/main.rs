//! `cargo xtask`: parse, make the context, run one command, print its error, exit.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::error::ErrorKind;
use xtask::cli::{self, Cli, Color, Command, Global};
use xtask::context::{self, Context, LeftOut};
use xtask::process::watch_signals;
use xtask::report::finding::Problem;
use xtask::report::{Report, Verbosity, advice};
use xtask::stack::Overrides;
use xtask::stack::manifest::Manifest;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    let report = report(&cli.global);
    match run(cli, report) {
        Ok(()) => {
            report.finish();
            ExitCode::SUCCESS
        }
        Err(error) => report.failure(&error),
    }
}

/// Prints what clap says of a command line that makes no sense, or the help that was asked for.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    // What was not understood may hold the option all the same.
    let json = std::env::args_os().any(|word| word == "--json");
    if !error.use_stderr()
        || (error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json)
    {
        error.exit();
    }
    let data_dir = typed("--data-dir").map(PathBuf::from);
    advice::carry(typed("--project").as_deref(), data_dir.as_deref());
    let (found, mend) = cli::explain(error);
    let problem = Problem::usage("usage", found).mend(mend);
    Report::new(Verbosity::Normal, json).failure(&problem.into())
}

/// The value of an option on a line that was not understood as a whole.
fn typed(option: &str) -> Option<String> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words: Vec<_> = words.collect();
    let after = words.iter().position(|word| word == option).and_then(|at| words.get(at + 1));
    let joined = words.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
    after.cloned().or_else(|| joined.map(str::to_owned))
}

fn run(cli: Cli, report: Report) -> anyhow::Result<()> {
    watch_signals()?;
    let root = context::announced_root(&report)?;
    let Global { yes, dry_run, wait, data_dir, project, .. } = cli.global;
    let manifest = Manifest::load(&root)?;
    let data_dir = data_dir.map(std::path::absolute).transpose().context("finding --data-dir")?;
    advice::carry(project.as_deref(), data_dir.as_deref());
    let overrides = Overrides { project, data_dir };
    let left_out = LeftOut::default();
    let cx = &Context { root, manifest, report, yes, dry_run, wait, overrides, left_out };
    execute(cli.command, cx)?;
    cx.refuse_left_out()
}

fn execute(command: Command, cx: &Context) -> anyhow::Result<()> {
    match command {
        Command::Doctor(args) => args.run(cx),
        Command::Setup(args) => args.run(cx),
        Command::Up(args) => args.run(cx),
        Command::Down(args) => args.run(cx),
        Command::Restart(args) => args.run(cx),
        Command::Status(args) => args.run(cx),
        Command::Urls(args) => args.run(cx),
        Command::Logs(args) => args.run(cx),
        Command::RotateLogs(args) => args.run(cx),
        Command::Schedule(args) => args.run(cx, cli::job::may_run),
        Command::Metrics(args) => args.run(cx),
        Command::Shell(args) => args.run(cx),
        Command::Alerts(args) => args.run(cx),
        Command::Env(args) => args.run(cx),
        Command::Backup(args) => args.run(cx),
        Command::Images(args) => args.run(cx),
        Command::Check(args) => args.run(cx, cli::job::may_run),
        Command::Test(args) => args.run(cx),
        Command::Completions(args) => args.run(cx, cli::command()),
    }
}

fn report(global: &Global) -> Report {
    match global.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let verbosity = match (global.verbose, global.quiet) {
        (true, _) => Verbosity::Verbose,
        (_, true) => Verbosity::Quiet,
        _ => Verbosity::Normal,
    };
    Report::new(verbosity, global.json)
}
