//! What the infrastructure says of itself, by its own commands, on the lab's containers.

use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use tests::{Site, root};

/// Archives their logs, and has the scheduled job write the metrics.
pub(super) fn report(site: &Site) {
    site.xtask(&["rotate-logs", "dev"]).succeeds();
    site.xtask(&["schedule", "run", "metrics"]).succeeds();
    let write = |name: &str, page: String| {
        fs::write(site.data().join("metrics").join(name), page).unwrap();
    };
    write("backup.prom", backups());
    // As `up` leaves it.
    let wanted = "case_interview_stack_wanted{stack=\"development\"} 1\n";
    write("stack-development.prom", wanted.to_owned());
    write("schedule-wanted.prom", "case_interview_schedule_wanted 1\n".to_owned());
}

/// Every metric of backups that docs/infrastructure-metrics.md lists, as if one was made an hour
/// ago. That a real one leaves all of them, the tests of backups see.
fn backups() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let list = fs::read_to_string(root().join("docs/infrastructure-metrics.md")).unwrap();
    let mut page = String::new();
    for row in list.lines().filter(|line| line.starts_with("| `case_interview_backup_")) {
        let mut columns = row.split('|').map(|column| column.trim().replace('`', "")).skip(1);
        let (name, labels) = (columns.next().unwrap(), columns.next().unwrap());
        let labels: Vec<_> = labels.split(", ").map(|label| format!("{label}=\"one\"")).collect();
        let value = if name.ends_with("_timestamp_seconds") { now - 3600 } else { 1 };
        writeln!(page, "{name}{{{}}} {value}", labels.join(",")).unwrap();
    }
    page
}
