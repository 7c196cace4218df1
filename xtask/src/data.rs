//! Whose the data of a stack is: is it still there, and does anybody else use it?
//!
//! A directory is known by what it is and not by its path: by its node while it is mounted
//! (`mounts`), by an identity in `DATA_DIR/state` that the repository remembers (`known`), and by
//! a record of who uses it (`record`), whose user is asked for (`users`).

pub mod known;
pub mod mounts;
mod record;
mod users;

use anyhow::Result;

use self::known::Known;
use self::record::{IDENTITY, Record, USED_BY};
use self::users::{Fate, User};
use crate::docker::container;
use crate::plan::Plan;
use crate::report::finding::Problem;
use crate::stack::Stack;

/// What is to be done where the data that was there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Refuse: a disk may not be mounted.
    Refused,
    /// Take what is there now: the user said so.
    Accepted,
}

/// The right to start servers on the data of a stack, to move it and to remove it. Only a look at
/// it gives one.
#[derive(Debug)]
pub struct Claim {
    /// What is on record; none where it could not be looked at yet.
    before: Option<Record>,
    now: Record,
    /// Why a record of another user does not count.
    taken_over: Option<String>,
    absence: Absence,
}

impl Claim {
    /// Looks.
    ///
    /// # Errors
    /// `data.gone` when what was there is not, unless that is accepted; `data.in-use` when another
    /// engine or project uses it; `data.record` when a record is damaged.
    pub fn of(stack: &Stack, absence: Absence) -> Result<Self> {
        refuse_mounted(stack)?;
        let user = User::now(stack)?;
        let Some(before) = record::load(stack)? else {
            let now = Record { identity: None, user: Some(user) };
            return Ok(Self { before: None, now, taken_over: None, absence });
        };
        let identity = known::identity(stack, before.identity.as_ref(), absence)?;
        let fate = before.user.as_ref().map(|other| other.fate(&user)).transpose()?;
        let taken_over = match fate {
            None | Some(Fate::Ours) => None,
            Some(Fate::Gone(why)) => Some(why),
            Some(Fate::InUse(found)) => return Err(in_use(stack, &found).into()),
        };
        let now = Record { identity: Some(identity), user: Some(user) };
        Ok(Self { before: Some(before), now, taken_over, absence })
    }

    /// Looks once more, where the first time there was no image to look with, and then has `plan` put
    /// it on record.
    ///
    /// # Errors
    /// As [`Claim::of`].
    pub fn completed(self, stack: &Stack, plan: &mut Plan) -> Result<Self> {
        if self.before.is_some() {
            return Ok(self);
        }
        let claim = Self::of(stack, self.absence)?;
        plan.append(claim.plan(stack)?);
        Ok(claim)
    }

    /// The steps that put it on record, in a `state` that is there.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn plan(&self, stack: &Stack) -> Result<Plan> {
        let mut plan = Plan::new();
        let Some(before) = &self.before else { return Ok(plan) };
        if before.identity != self.now.identity {
            let what = "give the data an identity";
            plan.append(record::write(stack, what, IDENTITY, &self.now.identity)?);
        }
        if self.absence == Absence::Accepted {
            plan.append(self.remember(stack)?);
        }
        if before.user != self.now.user {
            let why = self.taken_over.as_ref().map(|why| format!(", taken over: {why}"));
            let what = format!("record who uses the data{}", why.unwrap_or_default());
            plan.append(record::write(stack, &what, USED_BY, &self.now.user)?);
        }
        Ok(plan)
    }

    /// The step with which the repository remembers that there is data.
    ///
    /// # Errors
    /// When what it remembers cannot be read.
    pub fn remember(&self, stack: &Stack) -> Result<Plan> {
        let Some(identity) = &self.now.identity else { return Ok(Plan::new()) };
        let known = Known { identity: identity.clone(), path: stack.data_dir() };
        known::write(stack, Some(known))
    }

    /// The step with which the repository forgets the data, before it is removed.
    ///
    /// # Errors
    /// When what it remembers cannot be read.
    pub fn forget(&self, stack: &Stack) -> Result<Plan> {
        known::write(stack, None)
    }
}

/// Whoever has been taken down leaves the data to others. Where we may not look, the next user asks
/// for our containers.
pub fn release(stack: &Stack) -> Plan {
    let is_ours = || {
        let recorded = record::load_here(stack).ok()??.user?;
        Some(recorded == User::now(stack).ok()?)
    };
    if is_ours() == Some(true) { record::removal(stack) } else { Plan::new() }
}

/// A running server of others, whatever name the directory has there.
fn refuse_mounted(stack: &Stack) -> Result<()> {
    let containers = container::all()?;
    let users = mounts::users(stack, &containers);
    match users.into_iter().find(|(container, _)| container.is_running()) {
        Some((container, path)) => {
            Err(Problem::from(&mounts::finding(stack, container, &path)).into())
        }
        None => Ok(()),
    }
}

fn in_use(stack: &Stack, found: &str) -> Problem {
    Problem::prerequisite(
        "data.in-use",
        format!("{} is in use: {found}", stack.data_dir().display()),
    )
    .mend(record::advice(stack))
}

/// Fails when the record says that another engine or project uses the data, which is looked at on
/// this machine alone.
///
/// # Errors
/// As [`Claim::of`].
pub fn look_for_users(stack: &Stack) -> Result<()> {
    let recorded = record::load_here(stack)?.and_then(|record| record.user);
    match recorded.map(|other| other.fate(&User::now(stack)?)).transpose()? {
        Some(Fate::InUse(found)) => Err(in_use(stack, &found).into()),
        _ => Ok(()),
    }
}
