//! What a restored Grafana is asked, and how it is started alone.

use anyhow::Result;

use super::super::{Alone, Client};
use super::{Database, Look, PLACE};
use crate::report::finding::Finding;
use crate::report::units::count;

/// On a copy in a volume of its own: without the stack's provisioning Grafana would remove what
/// came from there, and to ask takes a password, which is made up.
const SERVE: &str = r#"
cp /data/grafana.db* /var/lib/grafana/
head -c 18 /dev/urandom | base64 >/tmp/password
grafana cli --homepath "$GF_PATHS_HOME" admin reset-admin-password --password-from-stdin </tmp/password
exec /run.sh"#;

/// The password is of this container alone, which no network leads to.
const CLIENT: &str = r#"
login="$(printf 'admin:%s' "$(cat /tmp/password)" | base64 | tr -d '\n')"
exec wget -q -O - --header "Authorization: Basic $login" "http://127.0.0.1:3000$1""#;

/// With what the image has: upstream's has neither.
const CHECK: &str = r#"
if command -v sqlite3 >/dev/null; then
    exec sqlite3 /var/lib/grafana/grafana.db 'PRAGMA integrity_check'
elif command -v python3 >/dev/null; then
    exec python3 -c 'import sqlite3
for row in sqlite3.connect("/var/lib/grafana/grafana.db").execute("PRAGMA integrity_check"): print(row[0])'
fi"#;

/// The server for restored data.
pub(super) fn alone() -> Alone {
    let mut alone = Alone::new(SERVE, "64m", CLIENT);
    alone.options.push(("--volume", PLACE.to_owned()));
    alone
}

/// Every page of the database, where the image has a tool for it; elsewhere its dashboards were
/// read one by one, which is all that can be said.
///
/// # Errors
/// When it cannot be asked.
pub(super) fn check_pages(client: Client<'_>) -> Result<Finding> {
    let check = Client { id: client.id, script: CHECK };
    let said = check.ask(&[], "")?;
    let id = "drill.database-whole";
    Ok(match said.trim() {
        "" => Finding::not_looked_at(
            id,
            "the pages of the database: the image has neither sqlite3 nor python3",
        ),
        "ok" => Finding::proven(id, "the database is whole (integrity_check)"),
        wrong => {
            let first: Vec<_> = wrong.lines().take(3).collect();
            let found = format!("the database is damaged: {}", first.join("; "));
            Finding::refuted(id, found)
        }
    })
}

impl Database {
    /// Each dashboard that was made by hand can be read, and accounts are as many as there were.
    pub(super) fn differences(&self, look: &Look) -> Vec<Finding> {
        let Look { dashboards, users } = look;
        let accounts = count(usize::try_from(*users).unwrap_or(usize::MAX), "account");
        let mut findings = Vec::new();
        let missing: Vec<_> =
            self.dashboards.iter().filter(|uid| !dashboards.contains(uid)).cloned().collect();
        if !missing.is_empty() {
            let found = format!("missing dashboards: {}", missing.join(", "));
            findings.push(Finding::refuted("drill.dashboards", found));
        }
        let (fewest, most) = self.users;
        if !(fewest..=most).contains(users) {
            let found = format!("{accounts}, where there were {fewest} to {most}");
            findings.push(Finding::refuted("drill.users", found));
        }
        if findings.is_empty() {
            let made = count(self.dashboards.len(), "dashboard");
            let found = format!("{made} made by hand, {accounts}");
            findings.push(Finding::proven("drill.dashboards", found));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Severity;

    #[test]
    fn dashboards_made_by_hand_and_accounts_must_be_there() {
        let dashboards = vec!["made".to_owned()];
        let database = Database { dashboards, users: (2, 3), paused_ms: 0 };
        let wrong = |there: &[&str], users| {
            let dashboards = there.iter().map(|uid| (*uid).to_owned()).collect();
            let findings = database.differences(&Look { dashboards, users });
            findings.iter().filter(|finding| finding.severity == Severity::Error).count()
        };
        assert_eq!(wrong(&["made", "made-later"], 3), 0);
        assert_eq!(wrong(&["made-later"], 2), 1);
        assert_eq!(wrong(&[], 4), 2);
    }
}
