//! What `--help` of a command shows: its own options; the global ones in one line.

use clap::Command;

/// Hides the global options of `command` from the help of its subcommands, which names them in a
/// line.
pub(super) fn shorten(mut command: Command) -> Command {
    // Hands the global options down, so that they can be told apart in each subcommand.
    command.build();
    let global: Vec<_> = command.get_arguments().filter(|arg| arg.is_global_set()).collect();
    let names = global.iter().filter_map(|arg| Some(format!("--{}", arg.get_long()?)));
    let names = names.collect::<Vec<_>>().join(" ");
    let program = command.get_bin_name().unwrap_or_default();
    let line = format!("Global options, explained by {program} --help:\n  {names}");
    command.mut_subcommands(|subcommand| shorten_one(subcommand, &line))
}

fn shorten_one(command: Command, line: &str) -> Command {
    let own = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    command
        .mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg })
        .after_help(format!("{own}{line}"))
        .mut_subcommands(|subcommand| shorten_one(subcommand, line))
}
