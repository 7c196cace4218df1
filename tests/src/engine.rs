//! A second engine on this machine, without images. Only for root.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::net;

/// The engine; killed when dropped.
#[derive(Debug)]
pub struct SecondEngine {
    daemon: Child,
    folder: TempDir,
}

impl SecondEngine {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("case-engine-").tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(folder.path().join("daemon.json"), "{}").expect("its configuration");
        // In a network namespace of its own: an engine without a default bridge removes the machine's.
        let daemon = Command::new("unshare")
            .args(["--net", "dockerd"])
            .args(["--config-file", &at("daemon.json"), "--data-root", &at("root")])
            .args(["--exec-root", &at("run"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("sock")), "--storage-driver", "vfs"])
            .args(["--bridge", "none", "--iptables=false", "--ip-masq=false"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unshare and dockerd are on the PATH");
        let engine = Self { daemon, folder };
        net::eventually("the second engine answers", || {
            let mut command = Command::new("docker");
            let said = command.args(["--host", &engine.address(), "version"]).output();
            said.is_ok_and(|output| output.status.success())
        });
        engine
    }

    /// Where it answers.
    pub fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        // Asked, it takes its containerd along.
        if let Ok(id) = i32::try_from(self.daemon.id())
            && let Some(id) = rustix::process::Pid::from_raw(id)
        {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.daemon.wait();
    }
}
