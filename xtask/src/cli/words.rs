//! The names of stacks and services, which stacks.toml has and not the code: help lists them, and
//! shells complete them. Whether a name is right is for the command to say.

use std::ffi::OsStr;
use std::sync::OnceLock;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command};

use crate::context;
use crate::report::advice::{On, Xtask};
use crate::stack::manifest::{Definition, Manifest};

/// What the arguments called `stack`, `service` and `services` may be, in every command.
pub(super) fn teach(command: Command) -> Command {
    let command = command.mut_args(|arg: Arg| match arg.get_id().as_str() {
        "stack" => arg.value_parser(Words(stacks)),
        "service" | "services" => arg.value_parser(Words(services)),
        "job" => arg.value_parser(Words(jobs)),
        _ => arg,
    });
    command.mut_subcommands(teach)
}

/// The shortest words for the stacks, and the one for all.
pub(super) fn stacks() -> Vec<&'static str> {
    let stacks = manifest().iter().flat_map(|manifest| &manifest.stacks);
    stacks.map(Definition::short).chain(["all"]).collect()
}

/// Services of whatever stack.
fn services() -> Vec<&'static str> {
    let stacks = manifest().iter().flat_map(|manifest| &manifest.stacks);
    stacks.flat_map(|stack| &stack.services).map(|service| service.name.as_str()).collect()
}

/// What `schedule run` may be asked for.
fn jobs() -> Vec<&'static str> {
    manifest().iter().flat_map(|manifest| &manifest.jobs).map(|job| job.name.as_str()).collect()
}

/// The command that opens a program such as `psql`, where the shell of a service is that program.
pub(super) fn shell_with(program: &str) -> Option<Xtask> {
    let stacks = manifest().iter().flat_map(|manifest| &manifest.stacks);
    let mut all = stacks.flat_map(|stack| stack.services.iter().map(move |one| (stack, one)));
    let opens = |shell: &str| shell.split_whitespace().any(|word| word == program);
    let (stack, service) =
        all.find(|(_, one)| one.name == program || (opens(&one.shell) && program != "sh"))?;
    Some(Xtask::Shell(On::new(stack.short(), None, None), service.name.clone()))
}

/// `None` where it cannot be read, which the command will say.
fn manifest() -> &'static Option<Manifest> {
    static MANIFEST: OnceLock<Option<Manifest>> = OnceLock::new();
    MANIFEST.get_or_init(|| Manifest::load(&context::root()).ok())
}

/// Takes every word and offers these.
#[derive(Debug, Clone, Copy)]
struct Words(fn() -> Vec<&'static str>);

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = (self.0)();
        (!words.is_empty()).then(|| Box::new(words.into_iter().map(PossibleValue::new)) as _)
    }
}
