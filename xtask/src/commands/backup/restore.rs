//! `cargo xtask backup restore`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::accepted::Accepted;
use super::kept;
use super::which::{Found, Which};
use crate::alerts;
use crate::backup::config::Config;
use crate::backup::drill;
use crate::backup::examine::Extent;
use crate::backup::folder::Folder;
use crate::backup::object::{self, Keys};
use crate::backup::order::ago;
use crate::backup::proof::Answers;
use crate::backup::restore::Request;
use crate::backup::restore::kept::End;
use crate::backup::set::Set;
use crate::backup::settle;
use crate::backup::signature::Believed;
use crate::backup::unpack::Target;
use crate::backup::verify::{self, Depth};
use crate::context::Context;
use crate::data::Absence;
use crate::docker::engine::Engine;
use crate::host::files::{create_new, make_folder, write_atomically};
use crate::host::user;
use crate::images;
use crate::report::advice::Xtask;
use crate::report::finding::{Problem, Severity, advise};
use crate::report::units::duration;
use crate::setup::prepare;
use crate::stack::Stack;

const RESTORED: &str =
    "the directories are exchanged, but the stack does not come up; the data from before is kept";

/// Restore a set; the present data is kept beside it
///
/// Verifies the set, makes the new data beside the old, proves it in a server of its own, and only
/// then exchanges the directories. Asks for the project's name first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Only this service; can be repeated
    #[arg(long, value_name = "SERVICE")]
    only: Vec<String>,
    /// Unpack into this new directory, and touch nothing else: files and directories that are
    /// yours, without links, devices and set-user-id bits
    #[arg(long, value_name = "DIR", conflicts_with_all = ["undo", "drop"])]
    to: Option<PathBuf>,
    /// The file with the private key, for encrypted sets
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    accepted: Accepted,
    /// Do not read every table, index and series of the new data, which a drill does too. What was
    /// not looked at is said and noted
    #[arg(long, conflicts_with_all = ["to", "undo", "drop"])]
    quick: bool,
    /// Put back the data from before the last restore
    #[arg(long, conflicts_with_all = ["set", "drop", "only"])]
    undo: bool,
    /// Remove the data that restores have kept
    #[arg(long, conflicts_with_all = ["set", "only"])]
    drop: bool,
}

/// How the last drill of the set ended, where that does not speak for it.
fn warn_of_drill(cx: &Context, folder: &Folder, set: Believed<'_>, stack: &Stack) -> Result<()> {
    let drill = Xtask::BackupDrillSet(stack.on(), set.id.to_string());
    match drill::recorded(folder)?.get(&set.id) {
        Some(last) if !last.ok => {
            let (when, verdict) = (ago(last.at, Timestamp::now()), last.verdict());
            cx.report.warning(format!(
                "the last drill of this set, {when}, says: it {verdict}; again: {drill}"
            ));
        }
        Some(_) => {}
        None => cx.report.warning(format!("this set was never drilled: {drill}")),
    }
    Ok(())
}

impl Args {
    pub(super) fn run(mut self, cx: &Context, config: &Config) -> Result<()> {
        self.identity = config.keys(self.identity).identity;
        Engine::ask()?;
        if self.undo || self.drop {
            let end = if self.undo { End::PutBack } else { End::Remove };
            return kept::run(cx, config, &self.which, end);
        }
        let retype = if self.to.is_some() { Xtask::BackupRestoreTo } else { Xtask::BackupRestore };
        let config = &self.accepted.with_keys(config);
        let Found { folder, set, stack } = self.which.find(cx, config, retype)?;
        let set = self.accepted.believe(&set, config)?;
        let stack = cx.stack(stack.short())?;
        let what = format!("backup restore {}", set.id);
        let _folder_lock = super::lock(cx, &folder, [&stack], &what)?;
        let _lock = cx.lock(&stack, &what)?;
        if let Some(to) = &self.to {
            return self.look(cx, &stack, &folder, set, to);
        }
        cx.remove_leftovers(&stack.project())?;
        settle(cx, &stack)?;
        self.restore(cx, stack, &folder, set)
    }

    fn restore(
        &self,
        cx: &Context,
        stack: Stack,
        folder: &Folder,
        set: Believed<'_>,
    ) -> Result<()> {
        let begun = Instant::now();
        let (mut plan, stack, claim) = prepare(cx, stack, false, Absence::Refused)?;
        images::provide(cx, &stack, &Xtask::BackupRestore(stack.on(), set.id.to_string()))?;
        let claim = claim.completed(&stack, &mut plan)?;
        if cx.dry_run && !plan.is_empty() {
            return cx.execute(plan);
        }
        plan.carry_out(&cx.report)?;
        let keys = Keys { identity: self.identity.clone() };
        let extent = if self.quick { Extent::Quick } else { Extent::Everything };
        let request = Request { stack: &stack, folder, set, only: &self.only, keys, extent };
        request.refuse(cx)?;
        if cx.dry_run {
            return cx.execute(request.plan(cx, &claim)?);
        }
        for step in request.steps()? {
            cx.report.progress(step);
        }
        if set.manifest.project != *stack.project() {
            cx.report
                .warning(format!("the set was made by another project, {}", set.manifest.project));
        }
        for finding in set.not_held().into_iter().chain(request.settings()?) {
            cx.report.finding(&finding);
        }
        warn_of_drill(cx, folder, set, &stack)?;
        super::confirm(cx, &stack)?;
        let staged = request.carry_out(cx, &claim);
        let mut findings = match staged {
            Ok(findings) => findings,
            Err(error) => {
                let _ = cx.remove_leftovers(&stack.project());
                return Err(error);
            }
        };
        let undo = Xtask::BackupUndo(stack.on());
        let proven = super::start(cx, &stack, RESTORED).and_then(|()| request.prove(cx));
        let proven =
            proven.map_err(|error| advise(error, format!("put the old data back: {undo}")))?;
        findings.extend(proven);
        let answers = Answers::of(&findings);
        let seconds = begun.elapsed().as_secs_f64();
        cx.report.line(format!(
            "restored {} in {} ({answers}); the data from before is kept: {} puts it back, --drop instead removes it",
            set.id,
            duration(begun.elapsed()),
            undo
        ));
        if set.manifest.project != *stack.project() {
            say_what_stays_behind(cx, &stack, &set);
        }
        let document = serde_json::json!({
            "set": set.id, "seconds": seconds, "answers": answers, "findings": findings });
        cx.report.document("xtask.backup-restore/v1", &document)
    }

    /// Unpacks into `to`, owned by whoever runs us.
    fn look(
        &self,
        cx: &Context,
        stack: &Stack,
        folder: &Folder,
        set: Believed<'_>,
        to: &Path,
    ) -> Result<()> {
        let to = std::path::absolute(to).context("reading the current directory")?;
        let is_empty = std::fs::read_dir(&to).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty {
            return Err(Problem::usage(
                "restore.not-empty",
                format!("{} is not empty", to.display()),
            )
            .mend("name a directory that does not exist yet")
            .into());
        }
        let objects = set.objects_of(&self.only)?;
        let keys = Keys { identity: self.identity.clone() };
        keys.fit(&set.manifest.objects)?;
        let sets = std::slice::from_ref(set.get());
        let findings = verify::objects(&cx.report, folder, sets, Depth::Full, &keys, !cx.dry_run)?;
        if let Some(wrong) = findings.iter().find(|finding| finding.severity == Severity::Error) {
            return Err(Problem::from(wrong).into());
        }
        if cx.dry_run {
            let what = format!("unpack {} into {}", set.id, to.display());
            cx.report.line(format!("would: {what}"));
            let steps = serde_json::json!([{ "what": what, "command": "tar -x -o -f -" }]);
            return cx.report.document("xtask.plan/v1", &serde_json::json!({ "steps": steps }));
        }
        let image = stack.image(stack.service(&stack.definition.helper)?)?;
        for (service, objects) in objects {
            let place = to.join(service);
            make_folder(&place, 0o700).with_context(|| format!("making {}", place.display()))?;
            let (dumps, archives): (Vec<_>, Vec<_>) =
                objects.into_iter().partition(|object| !object.content.is_archive());
            for object in dumps {
                let name = object.path.file_name();
                let name = name.trim_end_matches(".age").trim_end_matches(".zst");
                let mut file = create_new(&place.join(name), 0o600).context("writing a dump")?;
                object::read(folder.path(), object, &keys, &mut |contents| {
                    object::copy(contents, &mut |bytes| {
                        std::io::Write::write_all(&mut file, bytes).context("writing a dump")
                    })
                })?;
            }
            if !archives.is_empty() {
                let target = Target {
                    project: &stack.project(),
                    image: &image,
                    place: place.to_str().context("a path for Docker must be UTF-8")?,
                    owner: user::owner(),
                };
                target.unpack(&cx.report, folder, &archives, &keys)?;
            }
            cx.report.done(format!(
                "{} of {}: files and directories of {}, without links, devices and set-user-id bits",
                place.display(),
                set.id,
                user::owner()
            ));
        }
        if to.starts_with(&cx.root) {
            // Passwords are in it, and whoever adds all files would have them in the history.
            write_atomically(&to.join(".gitignore"), b"*\n", 0o600)?;
        }
        cx.report.line(to.display().to_string());
        cx.report
            .document("xtask.backup-restore/v1", &serde_json::json!({ "set": set.id, "to": to }))
    }
}

/// What the set holds or its machine had, and a restore does not put in place.
fn say_what_stays_behind(cx: &Context, stack: &Stack, set: &Set) {
    cx.report
        .warning(format!("the set is of the project {}; not brought along:", set.manifest.project));
    cx.report.line(format!("  its .env: passwords and ports are those of {}", stack.env_file()));
    if alerts::folder_of(stack).is_some() {
        let file = stack.own_file("notifications", "toml");
        cx.report.line(format!(
            "  who is told of alerts, and its secrets: write {file}, or take them out of the set"
        ));
    }
    cx.report.line("  archived logs");
    let look = Xtask::BackupRestoreTo(stack.on(), set.id.to_string());
    cx.report.line(format!("The set's own files: {look} --only configuration"));
}
