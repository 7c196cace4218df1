//! What both stacks, up side by side, must refuse: who asks without a password, who reads more
//! than statistics, who comes from another network. The tests of `monitoring` call it on theirs.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;

use tests::{Part, Site, docker, net};

/// The host's own address on a network.
const GATEWAY: &str = "{{(index .IPAM.Config 0).Gateway}}";

pub(crate) fn nobody_is_answered_without_the_password(site: &Site) {
    let monitoring = site.monitoring();
    let other = monitoring.env("GRAFANA_ADMIN_PASSWORD");
    for (service, paths) in [
        ("PROMETHEUS", &["/", "/-/ready", "/metrics", "/graph", "/api/v1/query?query=1"][..]),
        ("ALERTMANAGER", &["/", "/-/ready", "/metrics", "/api/v2/alerts"][..]),
    ] {
        let port = monitoring.port(&format!("{service}_PORT"));
        let password = monitoring.env(&format!("{service}_PASSWORD"));
        for path in paths {
            for wrong in [None, Some(""), Some(other.as_str())] {
                assert_eq!(net::ask("GET", port, path, wrong).0, 401, "{service} {path}");
            }
        }
        let (ready, _) = net::ask("GET", port, "/-/ready", Some(&password));
        assert_eq!(ready, 200, "{service}");
    }
    let port = monitoring.port("PROMETHEUS_PORT");
    let password = monitoring.env("PROMETHEUS_PASSWORD");
    let snapshot = "/api/v1/admin/tsdb/snapshot";
    assert_eq!(net::ask("POST", port, snapshot, None).0, 401);
    assert_eq!(net::ask("POST", port, snapshot, Some(&password)).0, 200);
    assert_eq!(net::ask("POST", port, "/-/reload", Some(&password)).0, 403, "no lifecycle");
    assert_eq!(net::ask("POST", port, "/-/quit", Some(&password)).0, 403, "no lifecycle");
    assert_eq!(net::ask("GET", monitoring.port("GRAFANA_PORT"), "/api/org", None).0, 401);
}

/// Beyond what the images of PostgreSQL, Redis and Grafana take by their environment alone.
pub(crate) fn no_password_is_shown(site: &Site) {
    let secrets = [
        site.env("POSTGRES_EXPORTER_PASSWORD"),
        site.env("REDIS_EXPORTER_PASSWORD"),
        site.monitoring().env("PROMETHEUS_PASSWORD"),
        site.monitoring().env("ALERTMANAGER_PASSWORD"),
    ];
    let mut shown = String::new();
    for part in [site.development(), site.monitoring()] {
        for line in part.containers() {
            let id = line.split(' ').nth(1).unwrap();
            shown.push_str(&docker(&["inspect", id]));
            shown.push_str(&docker(&["logs", id]));
        }
    }
    for args in
        [&["status", "all"][..], &["urls", "all"], &["doctor", "all", "-v"], &["logs", "all"]]
    {
        let run = site.xtask(args);
        shown.push_str(&run.stdout);
        shown.push_str(&run.stderr);
    }
    for secret in secrets {
        assert!(!shown.contains(&secret));
    }
    for (service, uid) in [
        ("prometheus", 65534),
        ("alertmanager", 65534),
        ("grafana", 472),
        ("postgres-exporter", 59187),
        ("redis-exporter", 59000),
    ] {
        let folder = site.data().join("generated").join(service);
        let facts = fs::metadata(&folder).unwrap();
        assert_eq!((facts.uid(), facts.mode() & 0o777), (uid, 0o700), "{service}");
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let facts = entry.metadata().unwrap();
            let mode = if facts.is_dir() { 0o700 } else { 0o400 };
            assert_eq!((facts.uid(), facts.mode() & 0o777), (uid, mode), "{entry:?}");
        }
    }
}

pub(crate) fn accounts_read_statistics_and_nothing_more(site: &Site) {
    let table = "create table secrets (x text); insert into secrets values ('x')";
    net::client(
        &site.image("postgres"),
        &site.url("DATABASE_URL"),
        &format!("psql \"$URL\" -qc \"{table}\""),
    );
    let database = site.env("POSTGRES_DB");
    let url = format!(
        "postgresql://exporter:{}@127.0.0.1:{}/{database}",
        site.env("POSTGRES_EXPORTER_PASSWORD"),
        site.port("POSTGRES_PORT"),
    );
    let query = "psql \"$URL\" -Atqc \"select count(*) > 0 from pg_stat_activity; select pg_has_role('pg_monitor', 'member')\"";
    assert_eq!(net::client(&site.image("postgres"), &url, query), "t\nt");
    let refused = "psql \"$URL\" -c 'select * from public.secrets' 2>&1 && exit 1 || true";
    let said = net::client(&site.image("postgres"), &url, refused);
    assert!(said.contains("permission denied"), "{said}");

    let url = format!(
        "redis://exporter:{}@127.0.0.1:{}/0",
        site.env("REDIS_EXPORTER_PASSWORD"),
        site.port("REDIS_PORT"),
    );
    let ask = |command: &str| {
        let script = format!("redis-cli --no-auth-warning -u \"$URL\" {command} 2>&1");
        net::client(&site.image("redis"), &url, &script)
    };
    assert!(ask("info stats").contains("keyspace_hits"));
    for command in [
        "get x",
        "set x 1",
        "keys '*'",
        "config get requirepass",
        "acl list",
        "slowlog get",
        "flushall",
    ] {
        assert!(ask(command).contains("NOPERM"), "{command}");
    }
}

/// The services of `part` on the network called `network`, each with its address there.
pub(crate) fn addresses(part: &Part<'_>, network: &str) -> Vec<(String, String)> {
    let format = r#"{{index .Config.Labels "com.docker.compose.service"}} {{range $name, $network := .NetworkSettings.Networks}}{{$name}}={{$network.IPAddress}} {{end}}"#;
    let mut found = Vec::new();
    for line in part.containers() {
        let id = line.split(' ').nth(1).unwrap();
        let text = docker(&["inspect", "--format", format, id]);
        let (service, networks) = text.split_once(' ').unwrap();
        let mut networks = networks.split_whitespace().filter_map(|pair| pair.split_once('='));
        let address = networks.find(|(name, _)| *name == network);
        found.extend(address.map(|(_, address)| (service.to_owned(), address.to_owned())));
    }
    assert!(!found.is_empty());
    found.sort();
    found
}

/// Those of `asked`, each an address and a port, that answer somebody on the network called
/// `network`.
fn answering(network: &str, asked: &[(String, u16)]) -> Vec<(String, u16)> {
    let image = Site::offline_or("prometheus", "2.42", "prom/prometheus:v2.45.0");
    let ask = |(address, port): &(String, u16)| {
        format!("(nc -w 3 {address} {port} </dev/null >/dev/null && echo {address} {port}) & ")
    };
    let script = asked.iter().map(ask).collect::<String>() + "wait";
    let args = ["run", "--rm", "--network", network, "--entrypoint", "sh", &image, "-c", &script];
    let said = docker(&args);
    let pairs = said.lines().filter_map(|line| line.split_once(' '));
    let mut found: Vec<_> =
        pairs.map(|(address, port)| (address.to_owned(), port.parse().unwrap())).collect();
    found.sort();
    found
}

pub(crate) fn stacks_are_isolated(site: &Site) {
    let (development, monitoring) = (site.development(), site.monitoring());
    let own = format!("{}_development", development.project());
    let other = format!("{}_monitoring", monitoring.project());
    let of = |part: &Part<'_>, network: &str, services: &[(&str, u16)]| {
        let known = addresses(part, network);
        let find = |(service, port): &(&str, u16)| {
            let found = known.iter().find(|(name, _)| name == service);
            (found.unwrap_or_else(|| panic!("{service} on {network}")).1.clone(), *port)
        };
        let mut all: Vec<_> = services.iter().map(find).collect();
        all.sort();
        all
    };
    let servers = [("postgres", 5432), ("redis", 6379), ("mailhog", 1025), ("mailhog", 8025)];
    let servers = of(&development, &own, &servers);
    let watchers =
        [("prometheus", 9090), ("alertmanager", 9093), ("grafana", 3000), ("node-exporter", 9100)];
    let watchers = of(&monitoring, &other, &watchers);
    let probes = format!("{}_probes", monitoring.project());
    let prober = of(&monitoring, &probes, &[("blackbox-exporter", 9115)]);
    let nobody = Vec::new();
    assert_eq!(answering(&own, &servers), servers, "they do answer where they should");
    assert_eq!(answering(&own, &watchers), nobody, "monitoring from the development network");
    assert_eq!(answering(&other, &watchers), watchers, "they do answer where they should");
    assert_eq!(answering(&other, &servers), nobody, "development from the monitoring network");
    assert_eq!(answering(&probes, &prober), prober, "it does answer where it should");
    assert_eq!(answering(&other, &prober), nobody, "the prober from the monitoring network");
    // On the shared network stand the exporters and Prometheus.
    let metrics = site.metrics_network();
    let on = [addresses(&development, &metrics), addresses(&monitoring, &metrics)].concat();
    let names: Vec<_> = on.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["postgres-exporter", "redis-exporter", "prometheus"]);
    // From outside, nothing: the host's own address on a bridge is to its ports what others see.
    let bridge = docker(&["network", "inspect", "--format", GATEWAY, &other]);
    let is_open = |host: &str, port| TcpStream::connect((host, port)).is_ok();
    for part in [development, monitoring] {
        let ports = part.ports();
        assert!(!ports.is_empty());
        for port in ports {
            assert!(is_open("127.0.0.1", port), "{port} on this machine");
            assert!(!is_open(&bridge, port), "{port} from outside");
        }
    }
}
