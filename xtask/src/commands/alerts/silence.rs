//! `cargo xtask alerts silence` and `unsilence`.

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{alertmanager, all_rules, silent};
use crate::alerts::silences::{self, Matcher, Silence};
use crate::client::Unanswered;
use crate::context::Context;
use crate::host::user;
use crate::report::advice::Xtask;
use crate::report::finding::Problem;
use crate::report::nearest::nearest;
use crate::report::units::seconds;
use crate::stack::Stack;

/// Keep alerts from people for a while
///
/// Such as: alerts silence RedisDown --for 2h --comment 'new machine'. They go on firing, and `alerts
/// list` shows them as silenced. What meets all matchers is silenced; of several names, each.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of alerts, or matchers such as service=redis, instance=~web.*
    #[arg(required = true, value_name = "NAME|MATCHER")]
    what: Vec<String>,
    /// For how long: 30min, 2h, 1d12h
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: SignedDuration,
    /// The reason, shown with the silence
    #[arg(long, default_value = "no reason given", value_name = "TEXT")]
    comment: String,
}

fn time(text: &str) -> Result<SignedDuration, String> {
    let some = seconds(text).filter(|seconds| *seconds > 0);
    some.map(SignedDuration::from_secs).ok_or_else(|| "write 30min, 2h or 1d12h".to_owned())
}

impl Args {
    pub(super) fn run(self, cx: &Context, stack: &Stack) -> Result<()> {
        let matchers = self.matchers(stack)?;
        let what = matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(" ");
        let now = Timestamp::now();
        let ends = now.checked_add(self.time).context("counting until when")?;
        let document = silences::document(&matchers, now, ends, &who(), &self.comment);
        if cx.dry_run {
            return announce(
                cx,
                &[(
                    format!("silence {what} until {}", shown(ends)),
                    "POST /api/v2/silences".to_owned(),
                )],
            );
        }
        let url = alertmanager(stack)?;
        let id = silences::add(&url, &document).map_err(|why| match why {
            Unanswered::Refused(why) => {
                Problem::failed("silence.refused", format!("alertmanager: {why}"))
            }
            why => silent(stack, "alertmanager", &why),
        })?;
        let short = id.get(..8).unwrap_or(&id).to_owned();
        cx.report.done(format!("{what} is silenced until {}", shown(ends)));
        cx.report.progress(format!("To end it before: {}", Xtask::AlertsUnsilence(short)));
        cx.report.document(
            "xtask.alerts-silence/v1",
            &json!({ "id": id, "matchers": matchers, "ends_at": ends }),
        )
    }

    fn matchers(&self, stack: &Stack) -> Result<Vec<Matcher>> {
        let (matchers, names): (Vec<_>, Vec<_>) =
            self.what.iter().partition(|word| word.contains(['=', '!']));
        let read = |word: &String| {
            word.parse().map_err(|why: String| Problem::usage("silence.matcher", why).into())
        };
        let mut matchers = matchers.into_iter().map(read).collect::<Result<Vec<Matcher>>>()?;
        if !names.is_empty() {
            let names: Vec<_> = names.into_iter().map(String::as_str).collect();
            refuse_unknown(stack, &names)?;
            matchers.insert(0, Matcher::called(&names));
        }
        Ok(matchers)
    }
}

/// A misspelt name would silence nothing, and wake somebody.
fn refuse_unknown(stack: &Stack, names: &[&str]) -> Result<()> {
    let rules = all_rules(stack)?;
    let known: Vec<_> = rules.iter().map(|rule| rule.alert.as_str()).collect();
    match names.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            let mend = match nearest(unknown, &known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("{} shows what there is", Xtask::AlertsList),
            };
            let found = format!("there is no alert `{unknown}`");
            Err(Problem::usage("silence.unknown-alert", found).mend(mend).into())
        }
    }
}

/// Who asks, for those who find the silence.
fn who() -> String {
    let asked = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    asked.unwrap_or_else(|| user::shown(user::owner().uid))
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn announce(cx: &Context, steps: &[(String, String)]) -> Result<()> {
    for (what, command) in steps {
        cx.report.line(format!("would: {what}\n       {command}"));
    }
    let steps: Vec<_> =
        steps.iter().map(|(what, command)| json!({ "what": what, "command": command })).collect();
    cx.report.document("xtask.plan/v1", &json!({ "steps": steps }))
}

/// End silences, so that people receive these alerts again
#[derive(Debug, clap::Args)]
pub(super) struct End {
    /// The silence's id, the beginning of it (4 characters or more), or the name of its alert
    #[arg(required = true, value_name = "ID|NAME")]
    which: Vec<String>,
}

impl End {
    pub(super) fn run(self, cx: &Context, stack: &Stack) -> Result<()> {
        let url = alertmanager(stack)?;
        let fail = |why| silent(stack, "alertmanager", &why);
        let all = silences::list(&url).map_err(fail)?;
        let is_meant = |silence: &&Silence| self.which.iter().any(|word| silence.is_meant(word));
        let meant: Vec<_> = all.iter().filter(is_meant).collect();
        let is_unknown = |word: &&String| !meant.iter().any(|silence| silence.is_meant(word));
        if let Some(word) = self.which.iter().find(is_unknown) {
            let found = format!("there is no silence `{word}`");
            return Err(Problem::usage("silence.unknown", found)
                .mend(format!("{} shows those there are", Xtask::AlertsList))
                .into());
        }
        let path = |silence: &Silence| format!("DELETE /api/v2/silence/{}", silence.id);
        if cx.dry_run {
            let step = |silence: &&Silence| {
                (format!("end the silence of {}", silence.what()), path(silence))
            };
            return announce(cx, &meant.iter().map(step).collect::<Vec<_>>());
        }
        for silence in &meant {
            silences::end(&url, silence).map_err(fail)?;
            cx.report.done(format!("{} is no longer silenced", silence.what()));
        }
        let ids: Vec<_> = meant.iter().map(|silence| &silence.id).collect();
        cx.report.document("xtask.alerts-unsilence/v1", &json!({ "ended": ids }))
    }
}
