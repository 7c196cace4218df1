//! The key with which this DATA_DIR signs its sets, and which sets may be unpacked.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::ops::Deref;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::config::Config;
use super::origin::{self, Origin, Trust};
use super::set::{self, PRIVATE, Set};
use crate::context::Context;
use crate::host::files::{Partial, make_folder, read_optional, write_atomically};
use crate::host::signature::SigningKey;
use crate::metrics;
use crate::names::Digest;
use crate::process::quote;
use crate::report::Report;
use crate::report::advice::Advice;
use crate::report::finding::Problem;
use crate::stack::Stack;

/// In `DATA_DIR/state`: what signs.
const KEY: &str = "backup-signing.key";
/// In `DATA_DIR/state`: what verifies, for `minisign -p`.
const PUBLIC: &str = "backup-signing.pub";
/// In `DATA_DIR/state`: the digests of the manifests that lay in the folder when the key was made.
const EARLIER: &str = "backup-sets-before-signing.json";

/// What every stack of the project signs with, and what the configuration names.
///
/// # Errors
/// When a key or a record is damaged.
pub fn trust(cx: &Context, config: &Config) -> Result<Trust> {
    let known = config.signers.iter().cloned().collect();
    let mut trust = Trust { known, ..Trust::default() };
    for stack in cx.stacks_by_place(Some("all"))? {
        match own_key(&stack)? {
            Some(key) => drop(trust.ours.insert(key.public()?)),
            None => trust.is_first_run |= !has_begun(&stack)? && has_made_backups(&stack),
        }
        trust.earlier.extend(earlier(&stack)?.unwrap_or_default());
    }
    Ok(trust)
}

/// A set that may be unpacked: it is believed, or a person has accepted it.
#[derive(Debug, Clone, Copy)]
pub struct Believed<'a>(&'a Set);

impl<'a> Believed<'a> {
    /// The set.
    pub fn get(self) -> &'a Set {
        self.0
    }
}

impl Deref for Believed<'_> {
    type Target = Set;

    fn deref(&self) -> &Set {
        self.0
    }
}

/// Believes `set` unless its origin is unknown, or it is not encrypted where `config` asks for that
/// and it is not signed with our own key. `accept` believes any.
///
/// # Errors
/// `set.unknown-origin`, `set.unencrypted`.
pub fn believe<'a>(set: &'a Set, config: &Config, accept: bool) -> Result<Believed<'a>> {
    let told = "if you know who made it: --accept-unsigned";
    if accept || set.origin == Origin::Ours {
        return Ok(Believed(set));
    }
    if !set.origin.is_believed() {
        let found = format!("{} {}", set.id, set.origin.describe());
        return Err(Problem::failed("set.unknown-origin", found)
            .mend(Advice::from(format!(
                "name the key of the machine that made it (DATA_DIR/state/{PUBLIC} there): --signed-by KEY"
            )).or(told))
            .into());
    }
    if !config.recipients.is_empty() && set.manifest.recipients.is_empty() {
        let found = format!("{} is not encrypted, but backup.toml names recipients", set.id);
        return Err(Problem::failed("set.unencrypted", found).mend(told).into());
    }
    Ok(Believed(set))
}

fn state(stack: &Stack, name: &str) -> PathBuf {
    stack.data_dir().join("state").join(name)
}

/// The key with which sets of `stack` are signed, where there is one.
///
/// # Errors
/// `backup.signing-key` where it is damaged.
pub fn own_key(stack: &Stack) -> Result<Option<SigningKey>> {
    let path = state(stack, KEY);
    let Some(text) = read_optional(&path)? else { return Ok(None) };
    SigningKey::parse(&text).map(Some).map_err(|error| {
        let found = format!("{} is damaged: {error:#}", path.display());
        Problem::failed("backup.signing-key", found)
            .mend(Advice::from("bring the file back from a copy").or(format!(
                "give the key up: name its public half in backup.toml (signers), then: rm {}",
                quote(&path.to_string_lossy())
            )))
            .into()
    })
}

/// Whether this version has seen the data directory before: from then on, sets are signed.
fn has_begun(stack: &Stack) -> Result<bool> {
    earlier(stack).map(|record| record.is_some())
}

/// Whether an earlier version has left metrics of backups.
fn has_made_backups(stack: &Stack) -> bool {
    metrics::is_written(&stack.data_dir(), "backup")
}

/// Records once which of `manifests` count though they are not signed. Goes before whatever leaves
/// metrics of backups; a key that is lost later makes no set believed.
///
/// # Errors
/// When that cannot be written.
pub fn begin(stack: &Stack, manifests: &[PathBuf]) -> Result<()> {
    if has_begun(stack)? {
        return Ok(());
    }
    let folder = state(stack, "");
    make_folder(&folder, 0o700).with_context(|| format!("making {}", folder.display()))?;
    // Of a machine on which no backup was ever made, nothing in the folder is.
    let unsigned =
        manifests.iter().filter(|path| has_made_backups(stack) && !origin::path(path).exists());
    let digests: BTreeSet<_> =
        unsigned.filter_map(|path| set::name(path)).map(|(_, digest)| digest).collect();
    let text = serde_json::to_string_pretty(&digests).context("writing the earlier sets")?;
    write_atomically(&state(stack, EARLIER), text.as_bytes(), PRIVATE)
}

/// Makes the key where there is none. Only for the holder of the folder's lock.
///
/// # Errors
/// When it cannot be written.
pub fn make_key(report: &Report, stack: &Stack, manifests: &[PathBuf]) -> Result<()> {
    if !stack.data_dir().is_dir() {
        return Ok(());
    }
    begin(stack, manifests)?;
    if own_key(stack)?.is_some() {
        return Ok(());
    }
    let key = SigningKey::random()?;
    let public = key.public()?;
    let file = Partial::beside(&state(stack, KEY), PRIVATE, None).context("making a key")?;
    writeln!(file.file(), "{}", key.reveal()).context("writing the key")?;
    match file.name() {
        // The other stack's folder has another lock.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        named => named.context("writing the key")?,
    }
    write_atomically(&state(stack, PUBLIC), public.file().as_bytes(), PRIVATE)?;
    report
        .done(format!("made the key that signs backups; keep its public half elsewhere: {public}"));
    Ok(())
}

/// Digests of sets that were made here and are not signed; nothing before [`begin`].
fn earlier(stack: &Stack) -> Result<Option<BTreeSet<Digest>>> {
    let path = state(stack, EARLIER);
    let Some(text) = read_optional(&path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        let found = format!("{} is damaged: {error}", path.display());
        Problem::failed("backup.signing-record", found)
            .mend(
                Advice::from("bring the file back from a copy")
                    .or("write [] into it; sets from before need --accept-unsigned then"),
            )
            .into()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::backup::example;

    #[test]
    fn no_set_of_unknown_origin_is_believed_until_a_person_says_so() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut config = Config::load(&root).unwrap();
        let id = |origin: Origin, config: &Config| {
            let set = Set { origin, ..example::development() };
            assert!(believe(&set, config, true).is_ok(), "{origin:?}");
            let refused = believe(&set, config, false).err()?;
            Some(refused.downcast::<Problem>().unwrap().id)
        };
        assert_eq!(id(Origin::Unsigned, &config), Some("set.unknown-origin"));
        assert_eq!(id(Origin::UnknownKey, &config), Some("set.unknown-origin"));
        assert_eq!(id(Origin::BeforeSigning, &config), None);
        config.recipients.push("age1x".to_owned());
        assert_eq!(id(Origin::Ours, &config), None);
        assert_eq!(id(Origin::KnownKey, &config), Some("set.unencrypted"));
        assert_eq!(id(Origin::BeforeSigning, &config), Some("set.unencrypted"));
    }
}
