//! What `DATA_DIR/state` says of a stack's data: which it is, and who uses it. Where that is on
//! another machine, a helper container reads and writes it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::users::User;
use crate::docker::endpoint::Endpoint;
use crate::docker::helper::Helper;
use crate::docker::image;
use crate::host::files::read_optional;
use crate::host::identity::Identity;
use crate::plan::Plan;
use crate::process::{Cmd, quote};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::stack::Stack;

/// The file that says which data it is: `state/<stack>-identity.json`.
pub(super) const IDENTITY: &str = "identity";
/// The file that says who uses it: `state/<stack>-used-by.json`.
pub(super) const USED_BY: &str = "used-by";
/// Its owner's alone, as all of `state`.
const MODE: u32 = 0o600;

/// What is on record.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) identity: Option<Identity>,
    pub(super) user: Option<User>,
}

fn path(stack: &Stack, what: &str) -> PathBuf {
    stack.data_dir().join("state").join(format!("{}-{what}.json", stack.name()))
}

/// The record; `None` where it is on another machine, and no image there to look with.
pub(super) fn load(stack: &Stack) -> Result<Option<Record>> {
    if Endpoint::current().is_remote() { load_there(stack) } else { load_here(stack) }
}

/// As [`load`], of this machine only.
pub(super) fn load_here(stack: &Stack) -> Result<Option<Record>> {
    if Endpoint::current().is_remote() {
        return Ok(None);
    }
    let [identity, user] = [IDENTITY, USED_BY].map(|what| read_optional(&path(stack, what)));
    parse(stack, identity?, user?).map(Some)
}

/// Both files, a zero byte behind each.
const READ: &str =
    r#"for what; do [ ! -e "/data/state/$what" ] || cat "/data/state/$what"; printf '\0'; done"#;

fn load_there(stack: &Stack) -> Result<Option<Record>> {
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    if image::get(&image)?.is_none() {
        return Ok(None);
    }
    let names = [IDENTITY, USED_BY].map(|what| format!("{}-{what}.json", stack.name()));
    let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
    let said = helper.cmd(READ, &names).read().context("reading who uses the data")?;
    let mut parts = said.split('\0').map(|part| Some(part.to_owned()).filter(|it| !it.is_empty()));
    let [identity, user] = [parts.next().flatten(), parts.next().flatten()];
    parse(stack, identity, user).map(Some)
}

fn parse(stack: &Stack, identity: Option<String>, user: Option<String>) -> Result<Record> {
    Ok(Record { identity: read(stack, IDENTITY, identity)?, user: read(stack, USED_BY, user)? })
}

fn read<T: DeserializeOwned>(stack: &Stack, what: &str, text: Option<String>) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        let path = path(stack, what);
        Problem::prerequisite("data.record", format!("{} is damaged: {error}", path.display()))
            .mend(format!(
                "make sure that nobody else uses the data, then: rm {}; {} makes it anew",
                quote(&path.to_string_lossy()),
                Xtask::UpFresh(stack.on())
            ))
            .into()
    })
}

/// Writes it from stdin, whole or not at all.
const WRITE: &str = r#"cd /data/state; umask 077; cat >"$1.partial"; chown "$2" "$1.partial"; sync "$1.partial"; mv -f "$1.partial" "$1""#;

/// The step that writes one of the files.
pub(super) fn write(stack: &Stack, what: &str, name: &str, value: &impl Serialize) -> Result<Plan> {
    let mut plan = Plan::new();
    let text = serde_json::to_string_pretty(value).context("writing the record of the data")?;
    if !Endpoint::current().is_remote() {
        plan.write(what, path(stack, name), text, MODE);
        return Ok(plan);
    }
    let image = stack.image(stack.service(&stack.definition.helper)?)?;
    let helper = Helper::new(&stack.project(), &image).mount(&stack.data_dir(), "/data")?;
    let args = [format!("{}-{name}.json", stack.name()), crate::host::user::owner().to_string()];
    plan.run(what, helper.cmd(WRITE, &args).stdin(text));
    Ok(plan)
}

/// The step that removes the record of who uses the data.
pub(super) fn removal(stack: &Stack) -> Plan {
    let mut plan = Plan::new();
    let cmd = Cmd::new("rm").arg("-f").arg(path(stack, USED_BY));
    plan.run("leave the data to others", cmd);
    plan
}

/// What to do where somebody else uses the data.
pub(super) fn advice(stack: &Stack) -> Advice {
    let path = path(stack, USED_BY);
    Advice::from("take the stack down there")
        .or("choose another DATA_DIR here")
        .or(format!("if those servers are gone for good: rm {}", quote(&path.to_string_lossy())))
}
