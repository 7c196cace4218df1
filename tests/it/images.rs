//! The images of the monitoring stack keep the contract of the upstream ones, which these tests
//! run against too where upstream images were chosen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Site, net};

struct Image {
    offline: &'static str,
    upstream: &'static str,
    user: &'static str,
    entrypoint: &'static [&'static str],
    command: &'static [&'static str],
    folder: &'static str,
    volume: Option<&'static str>,
    port: u16,
    /// A path that answers 200 as soon as the server works.
    health: &'static str,
    /// What `docker run` needs to be told for that.
    options: &'static [&'static str],
}

const IMAGES: [Image; 8] = [
    Image {
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
    },
    Image {
        offline: "alertmanager:0.25",
        upstream: "prom/alertmanager:v0.25.0",
        user: "nobody",
        entrypoint: &["/bin/alertmanager"],
        command: &[
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
        ],
        folder: "/alertmanager",
        volume: Some("/alertmanager"),
        port: 9093,
        health: "/-/ready",
        options: &[],
    },
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

fn image(offline: &str) -> (&'static Image, String) {
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

fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("docker runs")
}

fn read(args: &[&str]) -> String {
    let output = docker(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A running container, removed when dropped.
struct Container(String);

impl Container {
    fn start(image: &Image, options: &[&str], command: &[&str]) -> Self {
        let container = Self::unready(image, options, command);
        container.wait(image);
        container
    }

    /// Without waiting for it to answer.
    fn unready(image: &Image, options: &[&str], command: &[&str]) -> Self {
        let (publish, reference) = (format!("127.0.0.1::{}", image.port), image.reference());
        let mut args = vec!["run", "--detach", "--pull", "never", "--publish", &publish];
        args.extend(image.options.iter().chain(options));
        args.push(&reference);
        args.extend(command);
        Self(read(&args))
    }

    fn wait(&self, image: &Image) {
        eventually(&format!("{} answers", image.offline), || {
            let answer = net::http(self.port(image), "GET", image.health, &[], "");
            answer
                .is_some_and(|(status, ..)| status == 200)
                .then_some(())
                .ok_or_else(|| self.logs())
        });
    }

    /// 0 when it has ended, which nothing answers on.
    fn port(&self, image: &Image) -> u16 {
        let output = docker(&["port", &self.0, &image.port.to_string()]);
        let addresses = String::from_utf8_lossy(&output.stdout);
        let port = addresses.lines().next().and_then(|line| line.rsplit_once(':'));
        port.map_or(0, |(_, port)| port.parse().unwrap())
    }

    fn exec(&self, command: &[&str]) -> Output {
        docker(&[&["exec", &self.0], command].concat())
    }

    fn logs(&self) -> String {
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
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(said) => assert!(Instant::now() < deadline, "not seen: {what}\n{said}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn file(folder: &Path, name: &str, contents: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

/// A folder that containers can read.
fn shared_folder() -> TempDir {
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
    let config = "/etc/prometheus/prometheus.yml";
    let said = check("prometheus:2.42", "promtool", &["check", "config", "--lint=all", config]);
    assert!(said.contains("SUCCESS"), "{said}");
    let config = "/etc/alertmanager/alertmanager.yml";
    let said = check("alertmanager:0.25", "amtool", &["check-config", config]);
    assert!(said.contains("SUCCESS"), "{said}");
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

/// A Grafana with provisioning, and who asks it.
struct Grafana {
    container: Container,
    image: &'static Image,
    folder: TempDir,
}

impl Grafana {
    fn start(options: &[&str]) -> Self {
        let folder = shared_folder();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
        file(folder.path(), "password", "first-password");
        Self::start_in(folder, options)
    }

    fn start_in(folder: TempDir, options: &[&str]) -> Self {
        let (image, _) = image("grafana:double");
        let at = |name: &str, target: &str| {
            format!("--volume={}:{target}", folder.path().join(name).display())
        };
        let mounts = [
            at("data", "/var/lib/grafana"),
            at("password", "/run/password:ro"),
            at("provisioning", "/etc/grafana/provisioning:ro"),
            at("dashboards", "/etc/grafana/dashboards:ro"),
        ];
        let mut all: Vec<_> = mounts.iter().map(String::as_str).collect();
        all.extend(options);
        let container = Container::start(image, &all, &[]);
        Self { container, image, folder }
    }

    /// The session cookie, where the password is right.
    fn login(&self, password: &str) -> Option<String> {
        let body = json!({ "user": "admin", "password": password }).to_string();
        let port = self.container.port(self.image);
        let (status, head, _) = net::http(port, "POST", "/login", &[], &body).unwrap();
        assert!([200, 401].contains(&status), "{head}");
        let cookies = head.lines().filter(|line| line.to_lowercase().starts_with("set-cookie:"));
        let mut words = cookies.filter_map(|line| line.split([' ', ';']).nth(1));
        (status == 200)
            .then(|| words.rfind(|word| word.starts_with("grafana_session=")).unwrap().to_owned())
    }

    fn ask(&self, cookie: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let header = format!("Cookie: {cookie}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let port = self.container.port(self.image);
        let (status, _, said) = net::http(port, method, path, &[&header], &body).unwrap();
        (status, serde_json::from_str(&said).unwrap())
    }

    fn get(&self, cookie: &str, path: &str) -> Value {
        let (status, said) = self.ask(cookie, "GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {said}");
        said
    }
}

const FIRST_PASSWORD: &str = "--env=GF_SECURITY_ADMIN_PASSWORD__FILE=/run/password";

#[test]
fn grafana_takes_the_password_at_its_first_start_only() {
    let grafana = Grafana::start(&[FIRST_PASSWORD]);
    assert_eq!(grafana.login("admin"), None);
    let cookie = grafana.login("first-password").unwrap();
    assert_eq!(grafana.ask("", "GET", "/api/org", &Value::Null).0, 401);
    assert_eq!(grafana.get(&cookie, "/api/user")["login"], "admin");
    let change = json!({ "oldPassword": "first-password", "newPassword": "second-password", "confirmNew": "second-password" });
    assert_eq!(grafana.ask(&cookie, "PUT", "/api/user/password", &change).0, 200);
    assert_eq!(grafana.login("first-password"), None);

    let Grafana { container, folder, .. } = grafana;
    drop(container);
    let grafana = Grafana::start_in(folder, &["--env=GF_SECURITY_ADMIN_PASSWORD=third-password"]);
    assert_eq!(grafana.login("third-password"), None);
    grafana.login("second-password").unwrap();
    let reset = ["grafana", "cli", "admin", "reset-admin-password", "fourth-password"];
    assert!(grafana.container.exec(&reset).status.success());
    grafana.login("fourth-password").unwrap();
}

#[test]
fn grafana_refuses_a_password_given_twice() {
    let reference = image("grafana:double").1;
    let twice = ["run", "--rm", "--pull", "never", "--network", "none", FIRST_PASSWORD];
    let output =
        docker(&[&twice[..], &["--env=GF_SECURITY_ADMIN_PASSWORD=word", &reference]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("are exclusive"));
}

#[test]
fn grafana_locks_a_login_after_five_wrong_passwords() {
    let grafana = Grafana::start(&[FIRST_PASSWORD]);
    for _ in 0..5 {
        assert_eq!(grafana.login("wrong"), None);
    }
    assert_eq!(grafana.login("first-password"), None);
}

#[test]
fn grafana_does_not_start_without_a_plugin_it_was_asked_for() {
    let reference = image("grafana:double").1;
    let run = ["run", "--rm", "--pull", "never", "--network", "none"];
    let plugin = "--env=GF_INSTALL_PLUGINS=grafana-piechart-panel";
    let output = docker(&[&run[..], &[plugin, &reference]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

const DATA_SOURCE: &str = r#"
apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    uid: prometheus
    access: proxy
    url: http://${PROMETHEUS_HOST}:9090
    isDefault: true
    basicAuth: true
    basicAuthUser: admin
    secureJsonData: { basicAuthPassword: "$__file{/etc/grafana/provisioning/word}" }
"#;

const PROVIDER: &str = "
apiVersion: 1
providers:
  - { name: files, type: file, updateIntervalSeconds: 1, options: { path: /etc/grafana/dashboards } }
";

/// Of `metrics-password`, with bcrypt.
const WEB: &str = "
basic_auth_users:
  admin: $2b$04$Z0YZM1tgYUCPRBXgsUtPZuo0d4mQU3iXZXQopElPj07W0XoOfVl/W
";

#[test]
fn grafana_shows_what_is_provisioned_and_asks_prometheus_with_its_password() {
    let folder = shared_folder();
    file(folder.path(), "web/web.yml", WEB);
    let (prometheus, _) = image("prometheus:2.42");
    let web = format!("--volume={}:/web:ro", folder.path().join("web").display());
    let words = [prometheus.command, &["--web.config.file=/web/web.yml"]].concat();
    let server = Container::unready(prometheus, &[&web], &words);
    let host = read(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &server.0]);

    file(folder.path(), "password", "first-password");
    file(folder.path(), "provisioning/word", "metrics-password\n");
    file(folder.path(), "provisioning/datasources/prometheus.yml", DATA_SOURCE);
    file(folder.path(), "provisioning/dashboards/files.yml", PROVIDER);
    let board = |title: &str| json!({ "uid": "board", "title": title, "panels": [] }).to_string();
    file(folder.path(), "dashboards/board.json", &board("Before"));
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::set_permissions(folder.path().join("data"), fs::Permissions::from_mode(0o777)).unwrap();
    let host = format!("--env=PROMETHEUS_HOST={host}");
    let grafana = Grafana::start_in(folder, &[FIRST_PASSWORD, &host]);
    let cookie = grafana.login("first-password").unwrap();

    eventually("a data source that works", || {
        let health = "/api/datasources/uid/prometheus/health";
        let (status, said) = grafana.ask(&cookie, "GET", health, &Value::Null);
        (status == 200 && said["status"] == "OK").then_some(()).ok_or_else(|| said.to_string())
    });
    let query = "/api/datasources/proxy/uid/prometheus/api/v1/query?query=6*7";
    assert_eq!(grafana.get(&cookie, query)["data"]["result"][1], "42");

    assert_eq!(grafana.get(&cookie, "/api/search?type=dash-db")[0]["title"], "Before");
    file(grafana.folder.path(), "dashboards/board.json", &board("After"));
    eventually("the changed dashboard", || {
        let board = grafana.get(&cookie, "/api/dashboards/uid/board");
        (board["dashboard"]["title"] == "After").then_some(()).ok_or_else(|| board.to_string())
    });
    let by_hand = json!({ "dashboard": { "title": "By hand" }, "overwrite": false });
    let (status, made) = grafana.ask(&cookie, "POST", "/api/dashboards/db", &by_hand);
    assert_eq!((status, &made["status"]), (200, &json!("success")), "{made}");
    assert_eq!(grafana.get(&cookie, "/api/search?type=dash-db").as_array().unwrap().len(), 2);
}
