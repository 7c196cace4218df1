//! `cargo xtask test`.

use std::time::Duration;

use anyhow::Result;

use crate::commands::images;
use crate::context::Context;
use crate::docker::{docker, engine, image};
use crate::doctor;
use crate::process::{Cmd, Failure, ProcessError};
use crate::report::finding::Problem;

/// Run the project's whole test suite: unit, command line, end to end
///
/// Ends with a line `N passed, N failed`. Builds the offline images first where the upstream ones
/// are neither here nor to be pulled.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// First mend what is safe to mend, as `doctor --fix` does
    #[arg(long)]
    fix: bool,
    /// Leave out the end-to-end tests, which need a Docker engine
    #[arg(long)]
    no_engine: bool,
    /// Run the long campaigns too
    #[arg(long)]
    long: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// What cargo's summaries add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Counts `test result: ok. 3 passed; 0 failed; …`.
    fn count(&mut self, line: &str) {
        let Some(summary) = line.strip_prefix("test result:") else { return };
        let number = |word: &str| {
            let before = summary.split(word).next()?;
            before.rsplit([' ', ';', '.']).find(|part| !part.is_empty())?.parse::<u64>().ok()
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
    }
}

impl Args {
    /// Runs the tests.
    ///
    /// # Errors
    /// When one fails, does not build, or the engine is missing without `--no-engine`.
    pub fn run(self, cx: &Context) -> Result<()> {
        let mut tally = Tally::default();
        let mut broken = Vec::new();
        if self.fix {
            doctor::fix::mend_machine(cx, true)?;
        }
        self.cargo_test(cx, "xtask", None, &mut tally, &mut broken)?;
        if !self.no_engine {
            let images = engine::require().and_then(|()| provide_images(cx));
            match images {
                Ok(kind) => self.cargo_test(cx, "tests", Some(kind), &mut tally, &mut broken)?,
                Err(error) => {
                    cx.report.warning(format!("the end-to-end tests cannot run: {error:#}"));
                    tally.failed += 1;
                }
            }
        }
        cx.report.line(format!("{} passed, {} failed", tally.passed, tally.failed));
        cx.report.document(
            "xtask.test/v1",
            &serde_json::json!({ "passed": tally.passed, "failed": tally.failed }),
        )?;
        if tally.failed > 0 {
            return Err(Problem::failed("test.failed", "tests failed; see above").into());
        }
        match broken.pop() {
            Some(package) => Err(Problem::failed(
                "test.broken",
                format!("the tests of `{package}` did not run to their end"),
            )
            .into()),
            None => Ok(()),
        }
    }

    fn cargo_test(
        &self,
        cx: &Context,
        package: &str,
        images: Option<Kind>,
        tally: &mut Tally,
        broken: &mut Vec<String>,
    ) -> Result<()> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut cmd = Cmd::new(cargo)
            .args(["test", "--quiet", "--no-fail-fast", "--package", package])
            .args(self.filter.iter())
            .dir(&cx.root);
        if let Some(kind) = images {
            cmd = cmd.env("XTASK_TEST_IMAGES", kind.word());
        }
        if self.long {
            cmd = cmd.env("XTASK_TEST_LONG", "1");
        }
        let failed_before = tally.failed;
        let outcome = cmd.each_line(|line| {
            tally.count(line);
            cx.report.line(line);
        });
        match outcome {
            Err(error) => match error.downcast_ref::<ProcessError>().map(|error| error.failure) {
                Some(Failure::Status(_)) if tally.failed > failed_before => Ok(()),
                Some(Failure::Status(_)) => {
                    broken.push(package.to_owned());
                    Ok(())
                }
                _ => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }
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
    for stack in cx.stacks(None)? {
        for service in &stack.definition.services {
            let reference = stack.compose.default_image(&service.name)?;
            if image::present([reference.as_str()])?.is_empty() {
                cx.report.progress(format!("pulling {reference}"));
                let pull = docker()
                    .args(["pull", "--quiet", &reference])
                    .time_limit(Duration::from_secs(900))
                    .output()?;
                if !pull.success() {
                    cx.report
                        .progress("no registry can be reached, so the tests run on offline images");
                    images::build(cx)?;
                    return Ok(Kind::Offline);
                }
            }
        }
    }
    Ok(Kind::Upstream)
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
            "test result: FAILED. 11 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
        ] {
            tally.count(line);
        }
        assert_eq!(tally, Tally { passed: 14, failed: 2 });
    }
}
