//! Does this machine have what the end-to-end tests need, beyond an engine?

use std::path::Path;

use crate::docker::plugin::PLUGIN_FOLDERS;
use crate::host::user;
use crate::process::{Cmd, find};
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Finding;

/// Programs that tests call.
pub const PROGRAMS: [&str; 8] =
    ["chown", "docker-compose", "git", "mount", "pip3", "ps", "python3", "setpriv"];
/// The last of its family, which reads files as no later one does.
const COMPOSE_V1: &str = "1.29.2";

/// What is missing; empty where the tests can run.
pub fn lacking() -> Vec<Finding> {
    let plugins = PLUGIN_FOLDERS.iter().map(|folder| Path::new(folder).join("docker-compose"));
    let findings = [
        system(std::env::consts::OS, std::env::consts::ARCH),
        owner(user::is_root()),
        programs(),
        compose_v1(),
        plugins.into_iter().find(|file| file.exists()).map(|file| plugin(&file)),
    ];
    findings.into_iter().flatten().collect()
}

fn leave_out() -> String {
    format!("leave the end-to-end tests out: {}", Xtask::TestNoEngine)
}

fn system(os: &str, arch: &str) -> Option<Finding> {
    ((os, arch) != ("linux", "x86_64")).then(|| {
        Finding::error("test.system", format!("the system is {os} on {arch}"))
            .needs("Linux on x86_64, for which the Composes that are tested are there")
            .mend(Advice::from("run the tests in a virtual machine").or(leave_out()))
    })
}

fn owner(is_root: bool) -> Option<Finding> {
    (!is_root).then(|| {
        Finding::error("test.root", "you are not root, and tests mount disks and change owners")
            .mend(
                Advice::from(format!("sudo --preserve-env=PATH,HOME {}", Xtask::Test))
                    .or(leave_out()),
            )
    })
}

fn programs() -> Option<Finding> {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|program| find(program).is_err()).collect();
    (!missing.is_empty()).then(|| {
        Finding::error(
            "test.programs",
            format!("these programs are missing: {}", missing.join(", ")),
        )
        .mend(format!("install them; on Debian and Ubuntu: {}", Xtask::TestFix))
    })
}

/// One that is missing is the finding of [`programs`].
fn compose_v1() -> Option<Finding> {
    let version = Cmd::new("docker-compose").args(["version", "--short"]).read().ok()?;
    (version != COMPOSE_V1).then(|| {
        Finding::error("test.compose", format!("docker-compose on the PATH is {version}"))
            .needs(format!("{COMPOSE_V1}; the others come by themselves"))
            .mend("pip install docker-compose==1.29.2 in a virtual environment, and its folder first on the PATH")
    })
}

fn plugin(file: &Path) -> Finding {
    Finding::error("test.plugin", format!("there is a Compose plugin in {}", file.display()))
        .needs("none in a system folder, since tests choose the plugin that is found")
        .mend("move it to ~/.docker/cli-plugins")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_a_way_out() {
        assert!(system("linux", "x86_64").is_none() && owner(true).is_none());
        let lacking = [system("macos", "aarch64"), owner(false), Some(plugin(Path::new("/x")))];
        for finding in lacking.into_iter().flatten() {
            assert!(finding.id.starts_with("test.") && !finding.mend.is_empty(), "{finding}");
        }
    }
}
