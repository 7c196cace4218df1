//! What `--help` of each command says at 80 columns. A change is accepted with
//! `UPDATE_EXPECT=1 cargo test -p xtask --test help`.

use clap::Command;
use expect_test::expect_file;

#[test]
fn help_is_as_it_was_reviewed() {
    let mut text = String::new();
    let mut command = xtask::cli::with_help();
    command.build();
    write(command, &mut text);
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    expect_file!["help.txt"].assert_eq(&lines.join("\n"));
}

#[test]
fn help_fits_a_terminal() {
    let mut text = String::new();
    write(xtask::cli::with_help(), &mut text);
    let long: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:#?}");
}

fn write(command: Command, text: &mut String) {
    let mut command = command.term_width(80);
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    text.push_str(&format!("$ {name} --help\n{}\n", command.render_long_help()));
    for subcommand in command.get_subcommands().filter(|one| one.get_name() != "help") {
        write(subcommand.clone(), text);
    }
}
