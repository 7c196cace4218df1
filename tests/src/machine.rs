//! A machine of its own for a test: a container of Debian, in which xtask installs and starts an
//! engine.

use std::process::Command;

use crate::{Site, root, xtask};

/// The container is less than a machine in four things, none of which xtask is told: it may not
/// raise limits, which the engine's start script wants to; its engine has to keep images in plain
/// folders, and its control groups below the container's own, which go with it; it must not mount
/// control groups that the host has not, which would be the host's from then on; and no init has
/// told apt where to fetch from, which the image has.
const ARRANGED: &str = r#"
own=$(sed -n 's/^[0-9]*:pids://p; s/^0:://p' /proc/self/cgroup | head -n 1)
printf 'ulimit() { :; }\nDOCKER_OPTS="--storage-driver=vfs --cgroup-parent=%s --host=unix:///var/run/docker.sock --host=tcp://0.0.0.0:2375"\n' "$own" >/etc/default/docker
echo 'none /mnt cgroup noauto 0 0' >>/etc/fstab
echo 'DPkg::Options { "--force-confold"; };' >/etc/apt/apt.conf.d/keep
cp -r /host/Cargo.toml /host/infrastructure /host/tests .
rm -rf infrastructure/.state
find infrastructure -name '.env*' ! -name .env.example -delete
"#;

/// Whom this machine trusts, for pip: there may be a proxy between it and the world.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt:/host-certificates.crt:ro";

/// The container; removed when dropped.
#[derive(Debug)]
pub struct Machine(String);

impl Machine {
    /// A machine without docker.
    pub fn new(name: &str) -> Self {
        let image = match Site::is_offline() {
            true => "case-interview-offline/base:bookworm",
            false => "debian:bookworm",
        };
        Self::of(image, name, &["--volume", "/var/lib/docker"])
    }

    /// A machine with an engine, for which a registry on the machine is Docker Hub. The engine has
    /// so much room for images, as `mount` says it.
    pub fn with_registry(name: &str, room: &str) -> Self {
        let room = format!("/var/lib/docker:exec,dev,suid,size={room}");
        let hosts = ["registry-1.docker.io:127.0.0.1", "auth.docker.io:127.0.0.1"];
        let options = ["--tmpfs", &room, "--add-host", hosts[0], "--add-host", hosts[1]];
        let machine = Self::of("case-interview-offline/registry:2.8", name, &options);
        machine.run(&["registry", "start"], 0);
        // What a registry does the first time is told at once.
        let once = "sed -i 's/--storage-driver/--max-download-attempts=1 &/' /etc/default/docker";
        machine.run(&["sh", "-euc", once], 0);
        machine.start_engine();
        machine
    }

    /// Puts an image of this machine's engine into its registry, where it is `reference`.
    pub fn stock(&self, image: &str, reference: &str) {
        let name = if reference.contains('/') { "" } else { "library/" };
        let script = format!(
            "docker save {image} | docker exec --interactive {} registry take {name}{reference}",
            self.0
        );
        let output = Command::new("sh").args(["-euc", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// From now on its registry does what this directive of nginx says; with none, what it should.
    #[track_caller]
    pub fn registry_behaves(&self, directive: &str) {
        self.run(&["registry", "behave", directive], 0);
    }

    /// Starts its registry after a crash, without a fault.
    #[track_caller]
    pub fn registry_behaves_again(&self) {
        self.run(&["registry", "start"], 0);
        self.registry_behaves("");
    }

    fn of(image: &str, name: &str, options: &[&str]) -> Self {
        let machine = Self(format!("case-test-{name}-{}", std::process::id()));
        let host = format!("{}:/host:ro", root().display());
        let program = format!("{}:/xtask:ro", xtask().display());
        let output = Command::new("docker")
            .args(["run", "--detach", "--init", "--name", &machine.0, "--cgroupns", "host"])
            .args(["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"])
            .args(["--security-opt", "seccomp=unconfined"])
            .args(["--security-opt", "apparmor=unconfined"])
            .args(["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro"])
            .args(options)
            .args(["--tmpfs", "/run", "--volume", &host, "--volume", &program])
            .args(["--volume", CERTIFICATES])
            .args(["--workdir", "/repository", image, "sleep", "infinity"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        machine.run(&["sh", "-euc", ARRANGED], 0);
        machine
    }

    /// Runs xtask in the repository, as on a machine that has nothing else.
    #[track_caller]
    pub fn xtask(&self, words: &[&str], status: i32) -> String {
        self.run(&[&["/xtask"], words].concat(), status)
    }

    /// Runs a program in the repository, and returns what it said.
    #[track_caller]
    pub fn run(&self, words: &[&str], status: i32) -> String {
        let output = self.command(words).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(output.status.code(), Some(status), "{words:?}: {said}");
        said
    }

    /// A program in the repository, ready to be spawned.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["exec", "--workdir", "/repository", "--env", "PIP_CERT", &self.0]);
        command.args(words).env("PIP_CERT", "/host-certificates.crt");
        command
    }

    /// Kills its engine, as a crash would.
    pub fn stop_engine(&self) {
        self.run(&["sh", "-euc", "kill -9 $(cat /var/run/docker.pid)"], 0);
    }

    /// Starts it again, and waits until it answers.
    pub fn start_engine(&self) {
        self.run(&["service", "docker", "start"], 0);
        self.run(&["sh", "-c", "until docker version >/dev/null 2>&1; do sleep 0.1; done"], 0);
    }

    /// Takes over the offline images of this machine, since to build them again takes minutes.
    pub fn load_images(&self) {
        let script = format!(
            "docker save $(docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -E '^case-interview-offline/(base|mailhog|(postgres|redis)(-exporter)?):') | docker exec --interactive {} docker load",
            self.0
        );
        let output = Command::new("sh").args(["-euc", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Where its engine answers to others.
    pub fn address(&self) -> String {
        let format = "tcp://{{.NetworkSettings.IPAddress}}:2375";
        let output =
            Command::new("docker").args(["inspect", "--format", format, &self.0]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.0]).output();
    }
}
