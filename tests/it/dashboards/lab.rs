//! Prometheus with the repository's configuration and rules, made faster, and everything that it
//! scrapes: the exporters with the servers that they ask, an API, and what the infrastructure says of
//! itself. Grafana is missing, so that an alert fires.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tests::composes::FULL;
use tests::prometheus::hurry;
use tests::{Site, root};
use xtask::stack::compose_file::ComposeFile;
use xtask::stack::manifest::Manifest;

use super::{api, infrastructure};

/// The containers; they go with the site.
pub(super) struct Lab {
    site: Site,
    /// Where Prometheus listens on this machine.
    pub port: u16,
}

/// The servers by their names on the network.
const SERVERS: [&str; 10] = [
    "redis",
    "postgres",
    CERTIFICATE,
    "alertmanager",
    "node-exporter",
    "cadvisor",
    "blackbox-exporter",
    "redis-exporter",
    "postgres-exporter",
    "prometheus",
];

/// A server with TLS, on the image of PostgreSQL, which has openssl.
const CERTIFICATE: &str = "certificate";
/// It shows the prober its certificate.
const SERVE_TLS: &str = "openssl req -x509 -newkey rsa:2048 -nodes -days 60 -subj /CN=certificate \
    -addext subjectAltName=DNS:certificate -keyout /tmp/key.pem -out /shared/certificate.pem && \
    exec openssl s_server -quiet -www -accept 8443 -key /tmp/key.pem -cert /shared/certificate.pem";
/// Look-ups that find their key and look-ups that do not.
const LOOK_UPS: &str =
    "while sleep 0.2; do redis-cli set key 1; redis-cli get key; redis-cli get none; done";

impl Lab {
    pub(super) fn start() -> Self {
        let site = Site::new("dashboards", &[FULL[1]]);
        let mut lab = Self { site, port: 0 };
        lab.configure();
        lab.site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
        docker(&["network", "create", "--label", &lab.label(), lab.network()]);
        for name in SERVERS {
            lab.run(name);
        }
        docker(&["exec", "--detach", &lab.container("redis"), "sh", "-c", LOOK_UPS]);
        infrastructure::report(&lab.site);
        let published = docker(&["port", &lab.container("prometheus"), "9090/tcp"]);
        lab.port = published
            .lines()
            .next()
            .and_then(|line| line.rsplit(':').next()?.parse().ok())
            .expect("a port");
        lab
    }

    /// The repository's configuration with short waits, and with targets.
    fn configure(&self) {
        let folder = self.folder("prometheus");
        fs::create_dir(self.folder("shared")).unwrap();
        hurry(&folder);
        let targets = |file: PathBuf, targets: &str| {
            fs::write(file, format!("- targets: [{targets}]\n")).unwrap();
        };
        let (one, other) = (api::serve(), api::serve());
        let apis = format!("'host.docker.internal:{one}', 'host.docker.internal:{other}'");
        targets(folder.join("targets/api.yml"), &apis);
        targets(folder.join("targets/tcp.yml"), "'redis:6379', 'postgres:5432'");
        targets(
            folder.join("targets/http.yml"),
            "'http://alertmanager:9093/-/ready', 'https://certificate:8443/'",
        );
        for (file, target) in [
            ("redis", "'redis-exporter:9121'"),
            ("postgres", "'postgres-exporter:9187'"),
            ("cadvisor", "'cadvisor:8080'"),
        ] {
            targets(self.folder(&format!("without-setup/{file}.yml")), target);
        }
    }

    fn run(&self, name: &str) {
        let image = image(if name == CERTIFICATE { "postgres" } else { name });
        let container = self.container(name);
        let label = self.label();
        let mut args: Vec<String> = ["run", "--detach", "--memory", "256m", "--name", &container]
            .map(str::to_owned)
            .to_vec();
        let service = format!("com.docker.compose.service={name}");
        args.extend(["--label", &label, "--label", &service].map(str::to_owned));
        args.extend(["--network", self.network()].map(str::to_owned));
        args.extend(["--network-alias", name].map(str::to_owned));
        args.extend(self.options(name));
        args.push(image);
        args.extend(self.arguments(name));
        docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Options of `docker run`.
    fn options(&self, name: &str) -> Vec<String> {
        let mount = |folder: &str, target: &str| {
            format!("--volume={}:{target}", self.folder(folder).display())
        };
        let read = |folder: &str, target: &str| mount(folder, &format!("{target}:ro"));
        let plain = |options: &[&str]| options.iter().map(|option| (*option).to_owned()).collect();
        match name {
            "prometheus" => vec![
                read("prometheus", "/etc/prometheus"),
                read("without-setup", "/etc/generated"),
                "--add-host=host.docker.internal:host-gateway".to_owned(),
                "--publish=127.0.0.1::9090".to_owned(),
            ],
            "alertmanager" => vec![read("alertmanager", "/etc/alertmanager")],
            "blackbox-exporter" => vec![
                read("blackbox", "/etc/blackbox"),
                read("shared", "/shared"),
                "--env=SSL_CERT_FILE=/shared/certificate.pem".to_owned(),
            ],
            CERTIFICATE => vec![mount("shared", "/shared"), "--entrypoint=sh".to_owned()],
            "node-exporter" => vec![
                "--volume=/etc/hosts:/disks/root:ro".to_owned(),
                format!("--volume={}:/var/lib/node-exporter/textfile:ro", self.metrics().display()),
            ],
            "cadvisor" => plain(&[
                "--volume=/sys:/sys:ro",
                "--volume=/var/lib/docker:/var/lib/docker:ro",
                "--volume=/var/run/docker.sock:/var/run/docker.sock:ro",
            ]),
            "postgres" => plain(&["--env=POSTGRES_HOST_AUTH_METHOD=trust"]),
            "postgres-exporter" => plain(&[
                "--env=DATA_SOURCE_NAME=postgresql://postgres@postgres/postgres?sslmode=disable",
            ]),
            "redis-exporter" => plain(&["--env=REDIS_ADDR=redis://redis:6379"]),
            _ => Vec::new(),
        }
    }

    /// Arguments of the server; those of the exporters are the stack's own.
    fn arguments(&self, name: &str) -> Vec<String> {
        let plain = |arguments: &[&str]| arguments.iter().map(|one| (*one).to_owned()).collect();
        match name {
            "prometheus" => plain(&[
                "--config.file=/etc/prometheus/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                "--storage.tsdb.retention.size=1GB",
            ]),
            CERTIFICATE => plain(&["-ec", SERVE_TLS]),
            "redis" => plain(&["redis-server", "--maxmemory", "64mb"]),
            "node-exporter" | "cadvisor" | "blackbox-exporter" => self.command_of_stack(name),
            _ => Vec::new(),
        }
    }

    /// What the compose file starts the service with.
    fn command_of_stack(&self, service: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder("docker-compose.yml")).unwrap();
        let file: yaml_serde::Value = yaml_serde::from_str(&text).unwrap();
        let command = file["services"][service]["command"].as_sequence().expect("a command");
        command.iter().map(|word| word.as_str().unwrap().replace("$$", "$")).collect()
    }

    /// Where node-exporter finds what the infrastructure says of itself.
    fn metrics(&self) -> PathBuf {
        self.site.data().join("metrics")
    }

    /// A file or folder of the monitoring stack.
    fn folder(&self, name: &str) -> PathBuf {
        self.site.root().join("infrastructure/docker/monitoring").join(name)
    }

    fn container(&self, name: &str) -> String {
        format!("{}-{name}", self.site.project())
    }

    fn network(&self) -> &str {
        self.site.project()
    }

    fn label(&self) -> String {
        format!("com.docker.compose.project={}", self.site.project())
    }
}

/// The image of a service of either stack, in this run.
fn image(service: &str) -> String {
    let manifest = Manifest::load(root()).unwrap();
    let services = manifest
        .stacks
        .iter()
        .flat_map(|stack| stack.services.iter().map(move |service| (stack.name.as_str(), service)));
    let mut found = services.filter(|(_, found)| found.name == service);
    let (stack, found) = found.next().expect("the service in stacks.toml");
    if Site::is_offline() {
        return found.offline_image.clone().expect("an offline image");
    }
    let folder = root().join("infrastructure/docker").join(stack);
    ComposeFile::load(&folder, None).unwrap().default_image(service).unwrap()
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {}: {said}", args.join(" "));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
