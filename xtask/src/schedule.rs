//! Routine work runs by itself: as systemd timers where systemd runs, as cron entries elsewhere.
//!
//! What runs is a table in stacks.toml ([`Job`](crate::stack::job::Job)). The scheduler starts an installed copy of this
//! program, which nobody else can write, as `schedule run JOB`: that carries out the job and
//! records how it ended ([`record`]).

pub mod cron;
pub mod home;
pub mod obeyed;
pub mod record;
pub mod run;
pub mod systemd;

use anyhow::Result;

use self::home::Home;

/// By what the jobs are installed, if they are.
///
/// # Errors
/// When the units cannot be looked at.
pub fn installed(home: &Home) -> Result<Option<&'static str>> {
    let units = systemd::installed(home)?;
    Ok(if !units.is_empty() {
        Some("systemd")
    } else if cron::is_installed(home) {
        Some("cron")
    } else {
        None
    })
}
