//! Where the engine runs, and what of it is therefore this machine's.

use anyhow::{Context, Result};

use super::endpoint::Endpoint;
use super::engine::Engine;

/// Where containers run, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// On this machine, as root: paths and owners mean the same to it and to us.
    Here,
    /// On this machine, as whoever runs it: root in a container is that user outside, and all
    /// others are shifted.
    Rootless,
    /// In a virtual machine on this one, which shows its containers our paths, with owners as
    /// they like them.
    Virtual,
    /// On another machine.
    Remote,
}

impl Location {
    /// Where the engine that the docker client would use is.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn current() -> Result<Self> {
        let engine = Engine::ask().context("asking the engine where it runs")?;
        Ok(Self::of(engine, Endpoint::current()))
    }

    /// Where `engine` is.
    pub fn of(engine: &Engine, endpoint: &Endpoint) -> Self {
        if endpoint.is_remote() {
            Self::Remote
        } else if engine.is_desktop() || !cfg!(target_os = "linux") {
            // Elsewhere than on Linux there is a virtual machine, whoever made it.
            Self::Virtual
        } else if engine.is_rootless() {
            Self::Rootless
        } else {
            Self::Here
        }
    }

    /// Whether its kernel and its disks are this machine's.
    pub fn shares_machine(self) -> bool {
        matches!(self, Self::Here | Self::Rootless)
    }

    /// Whether a path that a container mounts is the same one here.
    pub fn shares_paths(self) -> bool {
        self != Self::Remote
    }

    /// Whether owners and modes are the same too.
    pub fn shares_owners(self) -> bool {
        self == Self::Here
    }
}
