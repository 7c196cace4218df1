//! `cargo xtask env`.

use anyhow::Result;
use clap::Subcommand;

use crate::context::Context;
use crate::docker::{container, docker};
use crate::doctor;
use crate::plan::Plan;
use crate::report::advice::Xtask;
use crate::report::finding::{Finding, Problem, Severity};
use crate::setup::recovered::Lost;
use crate::setup::{env_file, env_rewrite, origin};
use crate::stack::Stack;
use crate::stack::missing::{Missing, Source};

/// Write, check or apply a stack's .env
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write .env with generated secrets, or add what is missing; overwrites no value
    Init {
        /// The stack; every stack if left out
        stack: Option<String>,
        /// Where the file is gone and containers made with it are there, write it from their values
        #[arg(long)]
        from_containers: bool,
    },
    /// Find values that are missing, weak, or read differently by Compose versions
    Check {
        /// The stack; every stack if left out
        stack: Option<String>,
        /// First rewrite lines that Compose versions may read differently, keeping the value that
        /// those on this machine read
        #[arg(long)]
        fix: bool,
    },
    /// Set a running server's password to the one in .env
    SetPassword {
        /// The stack
        stack: String,
        /// The service
        service: String,
    },
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// When the file cannot be written, something in it is wrong, or the server refuses.
    pub fn run(self, cx: &Context) -> Result<()> {
        match self.action {
            Action::Init { stack, from_containers } => init(cx, stack.as_deref(), from_containers),
            Action::Check { stack, fix } => {
                if fix {
                    rewrite(cx, stack.as_deref())?;
                    // What the plan would rewrite is still unclear.
                    if cx.dry_run {
                        return Ok(());
                    }
                }
                check(cx, stack.as_deref())
            }
            Action::SetPassword { stack, service } => set_password(cx, &stack, &service),
        }
    }
}

fn init(cx: &Context, word: Option<&str>, from_containers: bool) -> Result<()> {
    for stack in cx.stacks(word)? {
        let _lock = cx.lock(&stack, "env init")?;
        let mut stack = cx.reload(&stack)?;
        if from_containers {
            refuse_without_need(cx, &stack)?;
        }
        ask_for_values(cx, &mut stack)?;
        let plan = env_file::plan(&mut stack, false, Lost::by(cx.yes || from_containers))?;
        if plan.is_empty() && !cx.dry_run {
            cx.report.done(format!("{} is complete", stack.env.path().display()));
        }
        cx.execute(plan)?;
    }
    Ok(())
}

/// What neither the machine nor `.env.example` can know.
fn ask_for_values(cx: &Context, stack: &mut Stack) -> Result<()> {
    let missing = stack.missing()?.into_iter().filter(|one| one.source == Source::Person);
    for Missing { name, .. } in missing {
        let question = format!("The value of {name} in {}:", stack.env_file());
        let answer = if cx.yes { None } else { cx.report.ask(&question) };
        if let Some(value) = answer.filter(|value| !value.is_empty()) {
            stack.env.preset(&name, value);
        }
    }
    Ok(())
}

fn refuse_without_need(cx: &Context, stack: &Stack) -> Result<()> {
    let (found, mend) = if stack.env.text().is_some() {
        ("exists; --from-containers only writes a missing file", "add what it lacks")
    } else if cx.containers(stack)?.is_empty() {
        ("is missing, and so are all containers made from it", "write a new one")
    } else {
        return Ok(());
    };
    Err(Problem::failed("env.not-from-containers", format!("{} {found}", stack.env_file()))
        .mend(format!("{mend}: {}", Xtask::EnvInit(stack.on())))
        .into())
}

fn rewrite(cx: &Context, word: Option<&str>) -> Result<()> {
    for stack in cx.stacks_to_check(word)? {
        let _lock = cx.lock(&stack, "env check --fix")?;
        match env_rewrite::plan(&cx.reload_to_mend(&stack)?) {
            Ok(plan) if plan.is_empty() => {}
            Ok(plan) => cx.execute(plan)?,
            Err(error) if error.is::<Problem>() => {
                cx.report.finding(&Finding::of_error("env.refused", &error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn check(cx: &Context, word: Option<&str>) -> Result<()> {
    let stacks = cx.stacks_to_check(word)?;
    let findings: Vec<_> =
        stacks.iter().flat_map(|stack| doctor::env_check::run(cx, stack)).collect();
    cx.report.findings(&findings);
    // Where none was named, a stack that has no file yet keeps nobody from the other.
    let is_free = word.is_none() && stacks.iter().any(|stack| stack.env.text().is_some());
    let is_fine = |finding: &Finding| {
        finding.severity < Severity::Error || (is_free && finding.id == "env.missing")
    };
    let ok = findings.iter().all(is_fine);
    cx.report
        .document("xtask.env-check/v1", &serde_json::json!({ "findings": findings, "ok": ok }))?;
    if ok {
        Ok(())
    } else {
        Err(Problem::prerequisite("env.unfit", ".env is not fit; see above").into())
    }
}

fn set_password(cx: &Context, word: &str, name: &str) -> Result<()> {
    let stack = cx.stack(word)?;
    let service = stack.service(name)?;
    let _lock = cx.lock(&stack, &format!("env set-password {word} {name}"))?;
    let (Some(script), Some(variable)) = (&service.set_password, service.secrets.first()) else {
        return Err(Problem::usage(
            "env.no-password",
            format!("{name} takes its password from .env at each start"),
        )
        .mend(Xtask::Up(stack.on()))
        .into());
    };
    let password = stack.env.get(variable).filter(|password| !password.is_empty());
    let password = password.ok_or_else(|| stack.incomplete(&format!("{variable} is not set")))?;
    let containers = cx.containers(&stack)?;
    let Some(container) = container::running(&containers, name) else {
        return Err(Problem::failed("service.not-running", format!("{name} does not run"))
            .mend(format!("{}, then this command again", Xtask::Up(stack.on())))
            .into());
    };
    let cmd = docker()
        .args(["exec", "--interactive", &container.id, "sh", "-euc", script])
        .stdin(password);
    let mut plan = Plan::new();
    plan.run(format!("give {name} the password of {}", stack.env.path().display()), cmd);
    plan.append(origin::opened(&stack, service)?);
    cx.execute(plan)
}
