//! Who runs us.

use std::path::{Path, PathBuf};

/// Whether we may change owners and write anywhere.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Our numeric user and group, as `uid:gid`.
pub fn owner() -> Owner {
    Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

/// Whether what `uid` does is as good as done by us: root, we ourselves, and who had sudo run us.
pub fn is_trusted(uid: u32) -> bool {
    let called_sudo = || std::env::var("SUDO_UID").ok()?.parse().ok();
    uid == 0 || uid == owner().uid || (is_root() && called_sudo() == Some(uid))
}

/// Our home folder, where one is known.
pub fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

/// Whether we may make something in the folder `path`.
pub fn may_write(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The name of a user, as `/etc/passwd` has it.
pub fn name_of(uid: u32) -> Option<String> {
    let users = super::followed::text("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Whether nobody but root and `uid` gains by what the group `gid` may do to `path`, as far as
/// `/etc/group` and `/etc/passwd` know. An access list may let others in by the group's bits.
pub fn is_alone_in(uid: u32, gid: u32, path: &Path) -> bool {
    let mut none = [0; 0];
    let has_list =
        !matches!(rustix::fs::getxattr(path, "system.posix_acl_access", &mut none), Err(_) | Ok(0));
    let read = |path: &str| super::followed::text(path).ok();
    let (Some(users), Some(groups)) = (read("/etc/passwd"), read("/etc/group")) else {
        return false;
    };
    let field = |line: &str, at: usize| line.split(':').nth(at).map(str::to_owned);
    let number = |line: &str, at: usize| field(line, at)?.parse::<u32>().ok();
    let name = name_of(uid);
    let is_ours =
        |member: &str| member.is_empty() || member == "root" || Some(member) == name.as_deref();
    let by_name = groups
        .lines()
        .filter(|line| number(line, 2) == Some(gid))
        .all(|line| field(line, 3).unwrap_or_default().split(',').all(is_ours));
    let primary = users.lines().filter(|line| number(line, 3) == Some(gid));
    let by_user = primary.into_iter().all(|line| [Some(0), Some(uid)].contains(&number(line, 2)));
    !has_list && by_name && by_user
}

/// A user's name, where he has one, for people to read.
pub fn shown(uid: u32) -> String {
    name_of(uid).unwrap_or_else(|| format!("user {uid}"))
}

/// A numeric user and group, written `uid:gid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl std::str::FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once(':')
            .and_then(|(uid, gid)| Some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? }));
        parsed.ok_or_else(|| format!("`{text}` is not a numeric owner such as 999:999"))
    }
}
