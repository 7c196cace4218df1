//! `cargo xtask test`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::commands::images;
use crate::context::Context;
use crate::docker::engine::Engine;
use crate::docker::image;
use crate::doctor::{self, suite};
use crate::host::files::{read_text, write_atomically};
use crate::images::unpulled::Unpulled;
use crate::offline::{self, catalogue::Catalogue};
use crate::plan::Plan;
use crate::process::{Cmd, Failure, ProcessError, check_interrupted};
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem};
use crate::report::units::count;

/// Run the project's whole test suite: unit, command line, end to end
///
/// The last lines name the images it ran on, and `N passed, N failed`. Builds the offline images
/// first where the upstream ones are neither here nor to be pulled.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// First mend what is safe to mend, as `doctor --fix` does
    #[arg(long)]
    fix: bool,
    /// Skip the end-to-end tests, which need a Docker engine
    #[arg(long)]
    no_engine: bool,
    /// Run the longer tests and campaigns too; takes hours
    #[arg(long)]
    long: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// What cargo's summaries add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    /// Those that only `--long` runs.
    left: usize,
}

impl Tally {
    /// Counts `test result: ok. 3 passed; 0 failed; …`.
    fn count(&mut self, line: &str) {
        let Some(summary) = line.strip_prefix("test result:") else { return };
        let number = |word: &str| {
            let before = summary.split(word).next()?;
            before.rsplit([' ', ';', '.']).find(|part| !part.is_empty())?.parse::<usize>().ok()
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
        self.left += number(" ignored").unwrap_or(0);
    }
}

impl Args {
    /// Runs the tests.
    ///
    /// # Errors
    /// When one fails, does not build, or the machine lacks what the end-to-end tests need.
    pub fn run(self, cx: &Context) -> Result<()> {
        if self.fix {
            let programs = [&offline::PROGRAMS[..], &suite::PROGRAMS].concat();
            doctor::fix::mend_machine(cx, &programs)?;
        }
        if cx.dry_run {
            return self.plan(cx)?.print(&cx.report);
        }
        let lacking = if self.no_engine { Vec::new() } else { lacking() };
        lacking.iter().for_each(|finding| cx.report.finding(finding));
        let mut tally = Tally::default();
        self.cargo_test(cx, "xtask", None, &mut tally)?;
        let mut ran_on = Vec::new();
        if lacking.is_empty() && !self.no_engine {
            let kind = provide_images(cx)?;
            write_atomically(&record(cx), b"", 0o600)
                .context("making the record of what tests run on")?;
            self.cargo_test(cx, "tests", Some(kind), &mut tally)?;
            ran_on = recorded(cx, kind)?;
        }
        tally.failed += usize::from(!lacking.is_empty());
        if tally.left > 0 {
            let left = count(tally.left, "longer test");
            cx.report.progress(format!("{left} not run: {}", Xtask::TestLong));
        }
        if !ran_on.is_empty() {
            cx.report.line(format!("ran on {}", ran_on.join(", ")));
        }
        cx.report.line(format!("{} passed, {} failed", tally.passed, tally.failed));
        let ok = tally.failed == 0;
        cx.report.document(
            "xtask.test/v1",
            &json!({ "passed": tally.passed, "failed": tally.failed, "lacking": lacking, "ran_on": ran_on, "ok": ok }),
        )?;
        match (ok, lacking.is_empty()) {
            (true, _) => Ok(()),
            (_, true) => Err(Problem::failed("test.failed", "tests failed; see above").into()),
            _ => Err(Problem::prerequisite("test.unfit", "the end-to-end tests cannot run here")
                .mend("follow the arrows above")
                .into()),
        }
    }

    /// What would run, for `--dry-run`.
    fn plan(&self, cx: &Context) -> Result<Plan> {
        let mut plan = Plan::new();
        plan.run("run the tests of xtask", self.cargo(cx, "xtask", None));
        if self.no_engine {
            return Ok(plan);
        }
        let missing = missing_images(cx)?;
        let kind = if missing.is_empty() { Kind::Upstream } else { Kind::Offline };
        for image in missing {
            let what = format!("pull {image}, or else build the offline images");
            plan.run(what, image::pull(&image));
        }
        plan.run("run the end-to-end tests", self.cargo(cx, "tests", Some(kind)));
        Ok(plan)
    }

    fn cargo(&self, cx: &Context, package: &str, images: Option<Kind>) -> Cmd {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut cmd = Cmd::new(cargo)
            .args(["test", "--no-fail-fast", "--package", package])
            .args(self.filter.iter())
            .dir(&cx.root);
        if let Some(kind) = images {
            // They wait for servers more than they compute.
            cmd = cmd.env("XTASK_TEST_IMAGES", kind.word()).env("XTASK_TEST_RAN_ON", record(cx));
            cmd = cmd.args(["--", "--test-threads=3"]);
            if self.long {
                cmd = cmd.env("XTASK_TEST_LONG", "1").arg("--include-ignored");
            }
        }
        cmd
    }

    fn cargo_test(
        &self,
        cx: &Context,
        package: &str,
        images: Option<Kind>,
        tally: &mut Tally,
    ) -> Result<()> {
        let failed_before = tally.failed;
        let outcome = self.cargo(cx, package, images).each_line(|line| {
            tally.count(line);
            cx.report.line(line);
        });
        let Err(error) = outcome else { return Ok(()) };
        match error.downcast_ref::<ProcessError>().map(|error| error.failure) {
            Some(Failure::Status(_)) => {
                // A suite that does not build, or that a signal ended, counts nothing itself.
                tally.failed += usize::from(tally.failed == failed_before);
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// What keeps the end-to-end tests from running, an engine included.
fn lacking() -> Vec<Finding> {
    let mut lacking = suite::lacking();
    let engine = Engine::ask().err();
    lacking.extend(engine.map(|error| Finding::of_error("test.engine", &error)));
    lacking
}

/// Which images the end-to-end tests run on.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Upstream,
    Offline,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Offline => "offline",
        }
    }
}

fn provide_images(cx: &Context) -> Result<Kind> {
    for reference in missing_images(cx)? {
        cx.report.progress(format!("pulling {reference}"));
        let pull = image::pull(&reference).time_limit(Duration::from_secs(900)).read();
        if let Err(error) = pull {
            check_interrupted()?;
            let known = Unpulled::of(&error);
            let why = known.map_or_else(|| format!("{error:#}"), |unpulled| unpulled.to_string());
            cx.report.warning(format!("{why}; the tests run on offline images"));
            images::build(cx, Catalogue::load(&cx.root)?.all())?;
            return Ok(Kind::Offline);
        }
    }
    Ok(Kind::Upstream)
}

/// Where tests note the images that they ran on.
fn record(cx: &Context) -> PathBuf {
    cx.root.join("target/tests-ran-on")
}

/// The images that tests ran on.
fn recorded(cx: &Context, kind: Kind) -> Result<Vec<String>> {
    if matches!(kind, Kind::Upstream) {
        return pinned_images(cx);
    }
    let text = read_text(&record(cx)).context("reading what tests ran on")?;
    let images: BTreeSet<_> = text.lines().map(str::to_owned).collect();
    Ok(images.into_iter().collect())
}

/// The pinned images that the engine does not have.
fn missing_images(cx: &Context) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for reference in pinned_images(cx)? {
        if image::get(&reference)?.is_none() {
            missing.push(reference);
        }
    }
    Ok(missing)
}

/// The pinned image of each service.
fn pinned_images(cx: &Context) -> Result<Vec<String>> {
    let mut pinned = Vec::new();
    for stack in cx.stacks_whatever_env_says(None)? {
        for service in &stack.definition.services {
            pinned.push(stack.compose.default_image(&service.name)?);
        }
    }
    Ok(pinned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_summaries_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.21s",
            "test result: FAILED. 11 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1s",
        ] {
            tally.count(line);
        }
        assert_eq!(tally, Tally { passed: 14, failed: 2, left: 1 });
    }
}
