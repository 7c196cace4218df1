//! The double of Grafana does what this project asks of Grafana.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::net;

use crate::images::{Container, Image, docker, eventually, file, image, read, shared_folder};

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
