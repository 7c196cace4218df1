//! The images of the monitoring stack keep the contract of the upstream ones, which these tests
//! run against too where upstream images were chosen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Site, net};

pub(crate) struct Image {
    pub(crate) offline: &'static str,
    pub(crate) upstream: &'static str,
    pub(crate) user: &'static str,
    pub(crate) entrypoint: &'static [&'static str],
    pub(crate) command: &'static [&'static str],
    pub(crate) folder: &'static str,
    pub(crate) volume: Option<&'static str>,
    pub(crate) port: u16,
    /// A path that answers 200 as soon as the server works.
    pub(crate) health: &'static str,
    /// What `docker run` needs to be told for that.
    pub(crate) options: &'static [&'static str],
}

const PROMETHEUS: Image = Image {
    offline: "prometheus:2.42",
    upstream: "prom/prometheus:v2.45.0",
    user: "nobody",
    entrypoint: &["/bin/prometheus"],
    command: &[
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--web.console.libraries=/usr/share/prometheus/console_libraries",
        "--web.console.templates=/usr/share/prometheus/consoles",
    ],
    folder: "/prometheus",
    volume: Some("/prometheus"),
    port: 9090,
    health: "/-/ready",
    options: &[],
};

const ALERTMANAGER: Image = Image {
    offline: "alertmanager:0.25",
    upstream: "prom/alertmanager:v0.25.0",
    user: "nobody",
    entrypoint: &["/bin/alertmanager"],
    command: &["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
    folder: "/alertmanager",
    volume: Some("/alertmanager"),
    port: 9093,
    health: "/-/ready",
    options: &[],
};

const IMAGES: [Image; 10] = [
    PROMETHEUS,
    Image { offline: "prometheus:2.53", ..PROMETHEUS },
    ALERTMANAGER,
    Image { offline: "alertmanager:0.28", ..ALERTMANAGER },
    Image {
        offline: "node-exporter:1.5",
        upstream: "prom/node-exporter:v1.6.0",
        user: "nobody",
        entrypoint: &["/bin/node_exporter"],
        command: &[],
        folder: "",
        volume: None,
        port: 9100,
        health: "/metrics",
        options: &[],
    },
    Image {
        offline: "blackbox-exporter:0.23",
        upstream: "prom/blackbox-exporter:v0.24.0",
        user: "",
        entrypoint: &["/bin/blackbox_exporter"],
        command: &["--config.file=/etc/blackbox_exporter/config.yml"],
        folder: "",
        volume: None,
        port: 9115,
        health: "/-/healthy",
        options: &[],
    },
    Image {
        offline: "postgres-exporter:0.11",
        upstream: "prometheuscommunity/postgres-exporter:v0.13.2",
        user: "nobody",
        entrypoint: &["/bin/postgres_exporter"],
        command: &[],
        folder: "",
        volume: None,
        port: 9187,
        health: "/metrics",
        options: &["--env", "DATA_SOURCE_URI=127.0.0.1:1/nowhere"],
    },
    Image {
        offline: "redis-exporter:1.45",
        upstream: "oliver006/redis_exporter:v1.51.0-alpine",
        user: "59000:59000",
        entrypoint: &["/redis_exporter"],
        command: &[],
        folder: "",
        volume: None,
        port: 9121,
        health: "/health",
        options: &[],
    },
    Image {
        offline: "cadvisor:0.38",
        upstream: "gcr.io/cadvisor/cadvisor:v0.47.2",
        user: "",
        entrypoint: &["/usr/bin/cadvisor", "-logtostderr"],
        command: &[],
        folder: "",
        volume: None,
        port: 8080,
        health: "/healthz",
        options: &[
            "--volume=/:/rootfs:ro",
            "--volume=/var/run:/var/run:ro",
            "--volume=/sys:/sys:ro",
            "--volume=/var/lib/docker:/var/lib/docker:ro",
        ],
    },
    Image {
        offline: "grafana:double",
        upstream: "grafana/grafana:9.5.0",
        user: "472",
        entrypoint: &["/run.sh"],
        command: &[],
        folder: "/usr/share/grafana",
        volume: None,
        port: 3000,
        health: "/api/health",
        options: &[],
    },
];

pub(crate) fn image(offline: &str) -> (&'static Image, String) {
    let image = IMAGES.iter().find(|image| image.offline == offline).unwrap();
    (image, image.reference())
}

impl Image {
    fn reference(&self) -> String {
        if Site::is_offline() {
            format!("case-interview-offline/{}", self.offline)
        } else {
            self.upstream.to_owned()
        }
    }
}

pub(crate) fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("docker runs")
}

pub(crate) fn read(args: &[&str]) -> String {
    let output = docker(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A running container, removed when dropped.
pub(crate) struct Container(pub(crate) String);

impl Container {
    pub(crate) fn start(image: &Image, options: &[&str], command: &[&str]) -> Self {
        let container = Self::unready(image, options, command);
        container.wait(image);
        container
    }

    /// Without waiting for it to answer.
    pub(crate) fn unready(image: &Image, options: &[&str], command: &[&str]) -> Self {
        let (publish, reference) = (format!("127.0.0.1::{}", image.port), image.reference());
        let mut args = vec!["run", "--detach", "--pull", "never", "--publish", &publish];
        args.extend(image.options.iter().chain(options));
        args.push(&reference);
        args.extend(command);
        Self(read(&args))
    }

    pub(crate) fn wait(&self, image: &Image) {
        eventually(&format!("{} answers", image.offline), || {
            let answer = net::http(self.port(image), "GET", image.health, &[], "");
            answer
                .is_some_and(|(status, ..)| status == 200)
                .then_some(())
                .ok_or_else(|| self.logs())
        });
    }

    /// 0 when it has ended, which nothing answers on.
    pub(crate) fn port(&self, image: &Image) -> u16 {
        let output = docker(&["port", &self.0, &image.port.to_string()]);
        let addresses = String::from_utf8_lossy(&output.stdout);
        let port = addresses.lines().next().and_then(|line| line.rsplit_once(':'));
        port.map_or(0, |(_, port)| port.parse().unwrap())
    }

    pub(crate) fn exec(&self, command: &[&str]) -> Output {
        docker(&[&["exec", &self.0], command].concat())
    }

    pub(crate) fn logs(&self) -> String {
        let output = docker(&["logs", &self.0]);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

/// Tries until it works, and panics with what it said last.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(said) => assert!(Instant::now() < deadline, "not seen: {what}\n{said}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn file(folder: &Path, name: &str, contents: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

/// A folder that containers can read.
pub(crate) fn shared_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn each_image_is_configured_as_the_upstream_one() {
    for image in &IMAGES {
        let format = ["image", "inspect", "--format", "{{json .Config}}"];
        let config: Value =
            serde_json::from_str(&read(&[&format[..], &[&image.reference()]].concat())).unwrap();
        let words = |key: &str| config[key].as_array().cloned().unwrap_or_default();
        let keys = |key: &str| -> Vec<_> {
            config[key].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
        };
        let user = config["User"].as_str().unwrap_or_default();
        assert_eq!(user, image.user, "{}", image.offline);
        assert_eq!(words("Entrypoint"), image.entrypoint, "{}", image.offline);
        assert_eq!(words("Cmd"), image.command, "{}", image.offline);
        let folder = config["WorkingDir"].as_str().unwrap_or_default().trim_end_matches('/');
        assert_eq!(folder, image.folder, "{}", image.offline);
        assert_eq!(keys("Volumes"), image.volume.as_slice(), "{}", image.offline);
        assert_eq!(keys("ExposedPorts"), [format!("{}/tcp", image.port)], "{}", image.offline);
    }
}

#[test]
fn each_server_starts_without_arguments_and_answers() {
    for image in &IMAGES {
        let container = Container::start(image, &[], &[]);
        let url = format!("http://127.0.0.1:{}{}", image.port, image.health);
        let health_check = format!("wget -q -O /dev/null {url}");
        let output = container.exec(&["sh", "-c", &health_check]);
        assert!(output.status.success(), "{}: {output:?}", image.offline);
        if image.user == "nobody" {
            let id = container.exec(&["sh", "-c", "echo $(id -u):$(id -g)"]);
            assert_eq!(id.stdout, b"65534:65534\n", "{}", image.offline);
        }
    }
}

#[test]
fn the_tools_that_check_configurations_are_there() {
    let check = |offline, tool, words: &[&str]| {
        let reference = image(offline).1;
        let run = ["run", "--rm", "--pull", "never", "--network", "none", "--entrypoint", tool];
        read(&[&run[..], &[&reference], words].concat())
    };
    let prometheus = ["check", "config", "--lint=all", "/etc/prometheus/prometheus.yml"];
    let alertmanager = ["check-config", "/etc/alertmanager/alertmanager.yml"];
    for (image, tool, words) in [
        ("prometheus:2.42", "promtool", &prometheus[..]),
        ("prometheus:2.53", "promtool", &prometheus),
        ("alertmanager:0.25", "amtool", &alertmanager),
        ("alertmanager:0.28", "amtool", &alertmanager),
    ] {
        let said = check(image, tool, words);
        assert!(said.contains("SUCCESS"), "{image}: {said}");
    }
}

#[test]
fn cadvisor_names_the_containers_it_measures() {
    let (image, _) = image("cadvisor:0.38");
    let name = format!("case-test-cadvisor-{}", std::process::id());
    let container = Container::start(image, &["--name", &name, "--memory", "256m"], &[]);
    let quoted = format!("name=\"{name}\"");
    for metric in ["container_memory_working_set_bytes{", "container_spec_memory_limit_bytes{"] {
        eventually(metric, || {
            let metrics = net::get(container.port(image), "/metrics");
            let found =
                metrics.lines().any(|line| line.starts_with(metric) && line.contains(&quoted));
            found.then_some(()).ok_or_else(|| container.logs())
        });
    }
}
