//! `--signed-by` and `--accept-unsigned`: which sets a subcommand may unpack.

use anyhow::Result;

use crate::backup::config::Config;
use crate::backup::set::Set;
use crate::backup::signature::{self, Believed};
use crate::host::signature::PublicKey;

/// What a person says of sets that this machine has not signed.
#[derive(Debug, clap::Args)]
pub(super) struct Accepted {
    /// Believe sets signed with this key too (RW…); can be repeated
    #[arg(long, value_name = "KEY", value_parser = |text: &str| PublicKey::try_from(text))]
    signed_by: Vec<PublicKey>,
    /// Use the set though nobody known has signed it, or it is not encrypted
    #[arg(long)]
    accept_unsigned: bool,
}

impl Accepted {
    /// `config` with the keys that were named.
    pub(super) fn with_keys(&self, config: &Config) -> Config {
        let mut config = config.clone();
        config.signers.extend(self.signed_by.iter().cloned());
        config
    }

    /// As [`signature::believe`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn believe<'a>(&self, set: &'a Set, config: &Config) -> Result<Believed<'a>> {
        signature::believe(set, config, self.accept_unsigned)
    }
}
