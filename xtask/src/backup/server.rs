//! Servers that can be backed up: a module each, and a line in `METHODS`.

pub mod alertmanager;
mod api;
pub mod grafana;
pub mod postgres;
pub mod prometheus;
pub mod redis;
mod subject;

use std::fmt::Debug;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

pub use self::subject::{Part, Stream, Subject};
use super::set::DataRecord;
use super::undo_log::Step;
use crate::docker::docker;
use crate::docker::helper::Helper;
use crate::plan::Plan;
use crate::process::{Cmd, Output};
use crate::report::finding::Finding;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Every server that can be backed up, by its name in stacks.toml and in manifests.
const METHODS: &[Method] = &[
    Method::of::<alertmanager::Silences>("alertmanager"),
    Method::of::<grafana::Database>("grafana"),
    Method::of::<postgres::Cluster>("postgres"),
    Method::of::<prometheus::Blocks>("prometheus"),
    Method::of::<redis::Keyspace>("redis"),
];

/// What a server held when it was backed up, as a manifest has it; and, for all servers of its
/// kind, how one is backed up.
pub trait Server: Debug {
    /// What will be streamed. Changes nothing.
    ///
    /// # Errors
    /// When the server does not answer, or has data that this method would not get.
    fn streams(subject: &Subject<'_>) -> Result<Vec<Stream>>
    where
        Self: Sized;

    /// Makes the data ready to be streamed, and notes what is there. `expected` is what
    /// [`Server::streams`] gave.
    ///
    /// # Errors
    /// When the server refuses.
    fn begin(subject: Subject<'_>, expected: Vec<Stream>) -> Result<Begun<'_>>
    where
        Self: Sized;

    /// How to take back what a killed backup has left changed in a running server; an empty plan
    /// where nothing is left. `None` where `step` is another server's.
    ///
    /// # Errors
    /// When what is left cannot be looked for.
    fn take_back(_stack: &Stack, _step: &Step) -> Result<Option<Plan>>
    where
        Self: Sized,
    {
        Ok(None)
    }

    /// Refuses a restore for `image` and today's `.env` where they cannot open the data.
    ///
    /// # Errors
    /// A problem that says what to change; when the image cannot be asked.
    fn refuse(&self, _stack: &Stack, _image: &str) -> Result<()> {
        Ok(())
    }

    /// The server for restored data, with the settings of `service` where it runs by itself.
    ///
    /// # Errors
    /// When the compose file does not say with which.
    fn alone(&self, stack: &Stack, service: &Service) -> Result<Alone>;

    /// Looks at unpacked data before a server opens it; `helper` sees it at `/data`. Nothing where
    /// only a server can tell.
    ///
    /// # Errors
    /// When the helper cannot run; damage is a finding.
    fn look_at_files(&self, _helper: &Helper) -> Result<Option<Finding>> {
        Ok(None)
    }

    /// Whether it answers and has read its data.
    fn is_ready(&self, client: Client<'_>) -> bool;

    /// Makes the restored data fit for today's `.env`. Nothing where passwords lie beside the data.
    ///
    /// # Errors
    /// When the server refuses.
    fn adapt(&self, _stack: &Stack, _service: &Service, _client: Client<'_>) -> Result<()> {
        Ok(())
    }

    /// Compares what a restored server says, which nobody else has changed, with this.
    ///
    /// # Errors
    /// When it does not answer; a difference is a finding.
    fn compare(&self, client: Client<'_>) -> Result<Vec<Finding>>;

    /// Reads everything that is there, which takes its time; nothing where opening it has done so.
    ///
    /// # Errors
    /// When the server cannot be asked; damage is a finding.
    fn look_through(&self, _client: Client<'_>) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    /// Compares what the stack's own server in the container `id` says, whose users are at work
    /// again, with this.
    ///
    /// # Errors
    /// As [`Server::compare`].
    fn prove(&self, stack: &Stack, service: &Service, id: &str) -> Result<Vec<Finding>>;
}

/// A backup that was begun: what is streamed, and what gives the record of it afterwards from what
/// each stream's helper wrote beside the data. What was changed in the server is undone when it is
/// dropped.
pub type Begun<'a> = (Vec<Stream>, Box<dyn FnOnce(&[Output]) -> Result<DataRecord> + 'a>);

/// A [`Server`] by its name.
#[derive(Debug)]
pub struct Method {
    /// In stacks.toml and in manifests.
    name: &'static str,
    /// [`Server::streams`].
    pub streams: fn(&Subject<'_>) -> Result<Vec<Stream>>,
    /// [`Server::begin`].
    pub begin: for<'a> fn(Subject<'a>, Vec<Stream>) -> Result<Begun<'a>>,
    take_back: fn(&Stack, &Step) -> Result<Option<Plan>>,
    read: fn(&DataRecord) -> Result<Box<dyn Server>>,
}

impl Method {
    const fn of<S: Server + DeserializeOwned + 'static>(name: &'static str) -> Self {
        Self {
            name,
            streams: S::streams,
            begin: S::begin,
            take_back: S::take_back,
            read: |record| Ok(Box::new(record.details::<S>()?)),
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<&'static Self> {
        METHODS.iter().find(|method| method.name == name).with_context(|| {
            let names: Vec<_> = METHODS.iter().map(|method| method.name).collect();
            format!("`{name}` is not a way to back up; there are: {}", names.join(", "))
        })
    }
}

/// What a manifest says of a server's data, as what can be compared with a restored one.
///
/// # Errors
/// When it makes no sense, or is of a server that this version does not know.
pub fn read(record: &DataRecord) -> Result<Box<dyn Server>> {
    (Method::named(&record.method)?.read)(record).context("reading what the server held")
}

/// How to take back `step`, which a killed backup has left.
///
/// # Errors
/// When no server knows it, or what is left cannot be looked for.
pub fn take_back(stack: &Stack, step: &Step) -> Result<Plan> {
    let plans = METHODS.iter().map(|method| (method.take_back)(stack, step));
    let plan = plans.filter_map(Result::transpose).next();
    plan.context("no server knows the step that is on record")?
}

/// How a server is started on restored data alone, to finish it or to question it.
#[derive(Debug)]
pub struct Alone {
    /// What runs, with the data directory at `/data`.
    pub script: &'static str,
    /// The script's arguments.
    pub args: Vec<String>,
    /// Options of `docker run`, each with its value.
    pub options: Vec<(&'static str, String)>,
    /// What asks it.
    pub client: &'static str,
}

impl Alone {
    /// One that needs no arguments and writes `tmp` bytes outside its data at most, as `--tmpfs`
    /// has them.
    fn new(script: &'static str, tmp: &str, client: &'static str) -> Self {
        let options = vec![("--tmpfs", format!("/tmp:size={tmp},mode=1777"))];
        Self { script, args: Vec::new(), options, client }
    }
}

/// A way to ask a server: its own client, inside its container.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The container.
    pub id: &'a str,
    /// What the shell inside runs; `"$@"` are the arguments.
    pub script: &'static str,
}

impl Client<'_> {
    /// The command that asks, with `input` on its stdin.
    pub fn cmd(&self, args: &[&str], input: &str) -> Cmd {
        docker()
            .args(["exec", "--interactive", self.id, "sh", "-euc", self.script, "sh"])
            .args(args)
            .stdin(input)
    }

    /// What it answers.
    ///
    /// # Errors
    /// When it ends with another status than 0.
    pub fn ask(&self, args: &[&str], input: &str) -> Result<String> {
        self.cmd(args, input).read()
    }

    /// Gives the server the password of today's `.env`, as stacks.toml says; `options` are those of
    /// `docker exec`.
    fn set_password(&self, stack: &Stack, service: &Service, options: &[&str]) -> Result<()> {
        let script = service.set_password.as_ref().context("stacks.toml has no `set_password`")?;
        let variable = service.secrets.first().context("stacks.toml names no password")?;
        let password = stack.env.get(variable).with_context(|| format!("{variable} is not set"))?;
        let exec = docker().args(["exec", "--interactive"]).args(options);
        let exec = exec.args([self.id, "sh", "-euc", script]);
        exec.stdin(password).run().context("setting the password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of stacks.toml that names a method is not looked at before a backup.
    #[test]
    fn every_method_in_stacks_toml_exists() {
        let shipped = include_str!("../../../infrastructure/stacks.toml");
        let names = shipped.lines().filter_map(|line| line.strip_prefix("backup = "));
        let names: Vec<_> = names.map(|name| name.trim_matches('"')).collect();
        assert!(names.len() >= METHODS.len(), "{names:?}");
        for name in names {
            assert_eq!(Method::named(name).unwrap().name, name);
        }
        let error = Method::named("mysql").unwrap_err().to_string();
        assert!(error.contains("alertmanager, grafana"), "{error}");
    }

    /// As a set made before this version has them.
    #[test]
    fn what_manifests_say_of_each_server_is_read() {
        for text in [
            r#"{"method":"alertmanager","version":"0.25.0","silences":[{"id":"a","ends_at":"2026-11-23T13:15:00Z"}]}"#,
            r#"{"method":"grafana","version":"9.5.0","dashboards":["a"],"users":[1,2],"paused_ms":7}"#,
            r#"{"method":"postgres","version":"15.14","major":15,"user":"postgres","system_identifier":"7",
                "begin_lsn":"0/1","end_lsn":"0/2","preload":"","databases":[{"name":"app","tables":[
                {"name":"public.t","bytes":1,"rows":[1,2]},{"name":"public.u","bytes":1,"rows":null}]}]}"#,
            r#"{"method":"prometheus","version":"2.45.0","blocks":[{"ulid":"01AAAAAAAAAAAAAAAAAAAAAAAA",
                "min_time":1,"max_time":2,"series":3,"samples":4}],"answers":{"01AAAAAAAAAAAAAAAAAAAAAAAA":3}}"#,
            r#"{"method":"redis","version":"6.2.14","keys":{"db0":[1,2]},"expiring":0}"#,
        ] {
            let record: DataRecord = serde_json::from_str(text).unwrap();
            read(&record).unwrap();
            let again = serde_json::to_value(&record).unwrap();
            assert_eq!(again, serde_json::from_str::<serde_json::Value>(text).unwrap());
            let mut other = record.clone();
            other.method = "mysql".to_owned();
            assert!(read(&other).is_err());
        }
    }
}
