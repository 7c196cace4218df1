//! The whole way: something stops, the shipped alert fires with its shipped waits, everybody is
//! told on every channel, and told again when it is over. Says how long each step took.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use tests::composes::FULL;
use tests::receiver::Receiver;
use tests::{Part, Site, docker, net};

use crate::monitoring::{leads_to_a_dashboard, prometheus, targets, up};
use crate::people::{Mail, channels, start_mailhog, write};

/// Far more than the alerts wait, for a crowded machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Ways by which an alert is seen, in the order in which it takes them.
const WAYS: [&str; 5] = ["prometheus", "mail", "slack", "pagerduty", "webhook"];

/// What stops, and what people are then told.
struct Outage {
    alert: &'static str,
    summary: String,
}

/// Those who are told.
struct People<'a> {
    monitoring: Part<'a>,
    mail: Mail,
    receiver: Receiver,
}

/// A server elsewhere that is probed; removed when dropped.
struct Probed(String);

impl Drop for Probed {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

#[test]
#[ignore = "for cargo xtask test --long"]
fn an_outage_is_told_on_every_channel_and_so_is_its_end() {
    let site = Site::new("outage", &[FULL[1]]);
    up(&site, "all").succeeds();
    let monitoring = site.monitoring();
    let probed = Probed(format!("{}-probed", site.project()));
    start_mailhog(&monitoring, &probed.0);
    let url = format!("http://{}:8025/", probed.0);
    let target = monitoring.folder().join("prometheus/targets/http.yml");
    fs::write(target, format!("- targets: ['{url}']\n")).unwrap();
    let (mail, receiver) = (Mail::start(&monitoring), Receiver::start());
    write(&monitoring, "notifications.toml", &channels(&monitoring, &mail, &receiver, "/bot"));
    site.xtask(&["alerts", "render"]).succeeds();
    net::eventually("every target is up, the probe among them", || {
        let targets = targets(&monitoring);
        targets.iter().any(|(job, _)| job == "probe-http")
            && targets.iter().all(|(_, health)| health == "up")
    });
    let people = People { monitoring, mail, receiver };
    let probe_succeeds = || people.value("probe_success") == Some("1".to_owned());
    net::eventually("the probed server has answered", probe_succeeds);
    assert_eq!(people.critical(), Vec::<String>::new());

    let outage = |alert, summary: &str| Outage { alert, summary: summary.to_owned() };
    let outages = [
        outage("ExternalHttpDown", &format!("{url} does not answer")),
        outage("PostgresDown", "PostgreSQL does not answer"),
        outage("RedisDown", "Redis does not answer"),
    ];
    let development = site.development();
    let (postgres, redis) = (development.container("postgres"), development.container("redis"));
    let stopped = Instant::now();
    docker(&["stop", "--time", "20", &postgres, &redis, &probed.0]);
    let fired = people.wait_for_all(&outages, stopped, People::has_begun);
    assert_eq!(people.critical(), outages.each_ref().map(|outage| outage.alert), "and no other");
    for outage in &outages {
        let title = format!("[CRITICAL] {}", outage.summary);
        let told = people.mail.wait_for(&[&title, "Dashboard: "]);
        let link = told.split("Dashboard: ").nth(1).and_then(|rest| rest.lines().next());
        assert!(told.contains(&format!("/docs/runbooks/{}.md", outage.alert)), "{told}");
        leads_to_a_dashboard(&people.monitoring, link.expect("a link").trim());
    }

    for told in people.receiver.requests("/bot") {
        let body = told.body.to_string();
        let is_label = |name| body.contains(name);
        assert!(!["grafana_url", "docs_url"].iter().any(is_label), "for links only: {told:?}");
    }

    let started = Instant::now();
    docker(&["start", &probed.0]);
    up(&site, "dev").succeeds();
    let over = people.wait_for_all(&outages, started, People::has_ended);
    assert_eq!(people.critical(), Vec::<String>::new());

    let mut table = format!("{:<18} {:<9}", "ALERT", "AFTER");
    WAYS.iter().for_each(|way| write!(table, " {way:>11}").unwrap());
    for (what, times) in [("stop", fired), ("start", over)] {
        for (outage, times) in outages.iter().zip(times) {
            write!(table, "\n{:<18} {what:<9}", outage.alert).unwrap();
            times.iter().for_each(|time| write!(table, " {time:>9.1} s").unwrap());
        }
    }
    // Past the capture of a test that passes.
    let _ = writeln!(std::io::stdout(), "{table}");
}

impl People<'_> {
    /// Waits until every outage `is_seen` in every way, and says for each how many seconds after
    /// `start` that was.
    #[track_caller]
    fn wait_for_all(
        &self,
        outages: &[Outage],
        start: Instant,
        is_seen: impl Fn(&Self, &Outage, &str) -> bool,
    ) -> Vec<[f64; WAYS.len()]> {
        let mut seen = vec![[None; WAYS.len()]; outages.len()];
        while seen.iter().flatten().any(Option::is_none) {
            for (outage, seen) in outages.iter().zip(&mut seen) {
                for (way, seen) in WAYS.iter().zip(seen) {
                    if seen.is_none() && is_seen(self, outage, way) {
                        *seen = Some(start.elapsed().as_secs_f64());
                    }
                }
            }
            if start.elapsed() > PATIENCE {
                let names: Vec<_> = outages.iter().map(|outage| outage.alert).collect();
                panic!("not within {PATIENCE:?}: {names:?} by {WAYS:?}: {seen:?}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        seen.into_iter().map(|ways| ways.map(Option::unwrap)).collect()
    }

    /// Whether an alert has come by one way.
    fn has_begun(&self, outage: &Outage, way: &str) -> bool {
        let title = format!("[CRITICAL] {}", outage.summary);
        match way {
            "prometheus" => self.critical().contains(&outage.alert.to_owned()),
            "mail" => self.has_mail(&title),
            "slack" => self.has_request("/slack", &[&title]),
            "pagerduty" => self.has_request("/pagerduty", &["\"trigger\"", &title]),
            _ => self.has_request("/bot", &["\"status\":\"firing\"", outage.alert]),
        }
    }

    /// Whether its end has.
    fn has_ended(&self, outage: &Outage, way: &str) -> bool {
        let title = format!("[RESOLVED] {}", outage.summary);
        match way {
            "prometheus" => !self.critical().contains(&outage.alert.to_owned()),
            "mail" => self.has_mail(&title),
            "slack" => self.has_request("/slack", &[&title]),
            "pagerduty" => self.has_request("/pagerduty", &["\"resolve\"", &title]),
            _ => self.has_request("/bot", &["\"status\":\"resolved\"", outage.alert]),
        }
    }

    fn has_mail(&self, title: &str) -> bool {
        let subject = format!("Subject: {title}");
        self.mail.inbox().unwrap_or_default().iter().any(|mail| mail.contains(&subject))
    }

    fn has_request(&self, path: &str, words: &[&str]) -> bool {
        self.receiver.requests(path).iter().any(|request| {
            let body = request.body.to_string();
            words.iter().all(|word| body.contains(word))
        })
    }

    /// The critical alerts that fire, sorted.
    fn critical(&self) -> Vec<String> {
        let answer = prometheus(&self.monitoring, "/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| {
            alert["state"] == "firing" && alert["labels"]["severity"] == "critical"
        });
        let mut names: Vec<_> =
            firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    fn value(&self, series: &str) -> Option<String> {
        let answer = prometheus(&self.monitoring, &format!("/api/v1/query?query={series}"));
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    }
}
