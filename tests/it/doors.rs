//! What a service could steal or spoil of the others if somebody took it over: tried from inside its
//! container, as its user. The tests of `monitoring` call it on both stacks, up side by side.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tests::{Site, docker};

use crate::guarded::addresses;

/// Users that images and the documentation give to two services each, which see nothing of each other.
const SHARED: [(&str, [&str; 2]); 2] =
    [("65534", ["alertmanager", "prometheus"]), ("999", ["postgres", "redis"])];

/// What somebody does inside a container, and prints what he got of it: nothing, as it should be.
const THEFTS: [(&str, &str); 6] = [
    (
        "reads passwords",
        r#"find / \( -path /proc -o -path /sys \) -prune -o -type f \( -name '*password*' -o -name 'web.yml' -o -name '.env*' \) -exec grep -lF "$SECRETS" {} + 2>/dev/null"#,
    ),
    (
        "looks into other processes",
        "for root in /proc/[0-9]*/root /*/proc/[0-9]*/root /disks/*/proc/[0-9]*/root; do ls -d $root/prometheus $root/etc/generated 2>/dev/null; done",
    ),
    (
        "finds the kernel's files of the host",
        "grep -E '^[^ ]+ [^ ]+ (proc|sysfs|debugfs|tracefs|devtmpfs) ' /proc/mounts | grep -vE ' /(proc|sys)(/[^ ]*)? '",
    ),
    (
        "writes to what is mounted",
        r#"while read -r _ place kind _; do
            place="$(printf '%b' "$place")"
            case "$place $kind" in '/dev/shm tmpfs' | '/dev/mqueue mqueue') continue ;; esac
            if [ -d "$place" ]; then file="$place/stolen"; elif [ -f "$place" ]; then file="$place"; else continue; fi
            if true >>"$file"; then echo "$place"; [ -f "$place" ] || rm -f "$file"; fi
        done </proc/mounts 2>/dev/null"#,
    ),
    (
        "connects to sockets",
        "find / \\( -path /proc -o -path /sys \\) -prune -o -type s -print 2>/dev/null",
    ),
    (
        "has the prober ask for him",
        "timeout 3 wget -q -O - \"http://$PROBER:9115/\" 2>/dev/null; timeout 3 wget -q -O - http://blackbox-exporter:9115/ 2>/dev/null",
    ),
];

pub(crate) fn no_service_is_a_door_to_another(site: &Site) {
    let monitoring = site.monitoring();
    let node = monitoring.container("node-exporter");
    let probes = format!("{}_probes", monitoring.project());
    let known = addresses(&monitoring, &probes);
    let names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["blackbox-exporter", "prometheus"], "nobody else is with the prober");
    let secrets = [
        site.env("POSTGRES_PASSWORD"),
        site.env("POSTGRES_EXPORTER_PASSWORD"),
        site.env("REDIS_EXPORTER_PASSWORD"),
        monitoring.env("PROMETHEUS_PASSWORD"),
        monitoring.env("ALERTMANAGER_PASSWORD"),
        monitoring.env("GRAFANA_ADMIN_PASSWORD"),
    ]
    .join("\n");
    for (theft, script) in THEFTS {
        let output = Command::new("docker")
            .args(["exec", "--env", "SECRETS", "--env", "PROBER", &node, "sh", "-c", script])
            .env("SECRETS", &secrets)
            .env("PROBER", &known[0].1)
            .output()
            .unwrap();
        let got = String::from_utf8_lossy(&output.stdout);
        assert_eq!(got, "", "node-exporter {theft}; stderr: {:?}", output.stderr);
    }
}

/// No service, nor the `nobody` of this machine, reads as its user what was made for another.
pub(crate) fn no_user_reads_what_was_made_for_another(site: &Site) {
    // The rest of the machine would let him through to DATA_DIR, unlike a temporary folder.
    let around = site.data().parent().unwrap().to_owned();
    fs::set_permissions(&around, fs::Permissions::from_mode(0o755)).unwrap();
    let users = users(site);
    for (user, services) in &users {
        let shared = SHARED.iter().find(|(shared, _)| shared == user);
        let expected: &[&str] = shared.map_or(&[], |(_, services)| services);
        assert!(services.len() == 1 || services == expected, "{user} runs {services:?}");
    }
    let nobody = "65534".to_owned();
    for user in users.keys().chain([&nobody]) {
        let look = |words: &[&str]| {
            let user = format!("--reuid={user}");
            let mut look = Command::new("setpriv");
            look.args([&user, "--regid=65533", "--clear-groups"]).args(words);
            let output = look.arg(site.data().join("generated")).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert_ne!(look(&["stat", "--format", "%U"]), "", "{user} comes as far as that");
        let found = look(&["sh", "-c", r#"cat "$0"/*/* "$0"/prometheus/password; ls "$0""#]);
        assert_eq!(found, "", "{user} reads");
    }
}

/// Numeric users, root aside, and the services that run as each.
fn users(site: &Site) -> BTreeMap<String, Vec<String>> {
    let format = r#"{{.Config.User}} {{index .Config.Labels "com.docker.compose.service"}}"#;
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in [site.development(), site.monitoring()] {
        for line in part.containers() {
            let said = docker(&["inspect", "--format", format, line.split(' ').nth(1).unwrap()]);
            let (user, service) = said.split_once(' ').unwrap();
            let user = user.split(':').next().unwrap();
            assert!(user.parse::<u32>().is_ok_and(|user| user > 0), "{service} runs as `{user}`");
            users.entry(user.to_owned()).or_default().push(service.to_owned());
        }
    }
    users.values_mut().for_each(|services| services.sort());
    users
}
