//! What a restored PostgreSQL is asked, and how it is started alone.

use anyhow::{Context as _, Result};

use super::super::{Alone, Client};
use super::psql::{ANSWER, CLIENT, Look, Psql, connections, own_settings};
use super::{Cluster, Database};
use crate::docker::helper::Helper;
use crate::postgres::name::Name;
use crate::postgres::version::Version;
use crate::report::finding::{Finding, Problem};
use crate::report::units::Bytes;
use crate::stack::Stack;

/// How closely a restored server is questioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nobody else has changed it: everything is compared.
    Untouched,
    /// Its users are at work again: only what they cannot have changed.
    Live,
}

/// The server with the options of the compose file, as it will run; but nobody from outside,
/// nothing to outside, no password in the log or among the statistics, and no library whose
/// background workers would act on what they find in the data.
const SERVE: &str = r#"
printf 'local all all trust\nhost all all 127.0.0.1/32 trust\n' >/tmp/hba.conf
libraries="$(postgres "$@" -D /data -c data_directory=/data -C shared_preload_libraries)"
quiet=
set -f; IFS=', "'
for library in $libraries; do
    case "$library" in '' | pg_cron | pg_net) ;; *) quiet="$quiet,$library" ;; esac
done
exec postgres "$@" -D /data -c data_directory=/data -c hba_file=/tmp/hba.conf \
    -c listen_addresses=127.0.0.1 -c port=5432 -c ssl=off -c unix_socket_directories=/tmp \
    -c shared_preload_libraries="${quiet#,}" -c shared_buffers=64MB -c archive_mode=off \
    -c max_logical_replication_workers=0 -c autovacuum=off \
    -c logging_collector=off -c log_destination=stderr -c log_statement=none \
    -c log_min_error_statement=panic -c pg_stat_statements.track_utility=off"#;

/// Every table and index of every database, told by the first line; where the program is missing,
/// every row is read.
const CHECK_TABLES: &str = concat!(
    own_settings!(),
    r#"
export PGUSER="$POSTGRES_USER"
if command -v pg_amcheck >/dev/null; then
    echo pg_amcheck
    exec pg_amcheck --all --install-missing --no-password
fi
echo pg_dump
while IFS= read -r database; do
    pg_dump --no-password --format custom --compress 0 --dbname "$(printf %b "$database")" >/dev/null
done"#
);

/// Every file is held against the list that pg_basebackup has made of them.
const VERIFY_FILES: &str = r#"
[ -f /data/backup_manifest ] || exit 3
command -v pg_verifybackup >/dev/null || exit 4
exec pg_verifybackup --exit-on-error /data >&2"#;

impl Cluster {
    /// Another major version cannot open the data; the names in `.env` count for an empty data
    /// directory only, so the data must have them.
    pub(super) fn refuse_restore(&self, stack: &Stack, image: &str) -> Result<()> {
        let version = Version::of_image(&stack.project(), image)?;
        let today = |variable: &str| stack.env.get(variable).unwrap_or_default();
        if version.major != self.major {
            return Err(self.other_version(image, &version).into());
        }
        let (user, database) = (today("POSTGRES_USER"), today("POSTGRES_DB"));
        let Some((variable, there)) = self.other_name(&user, &database) else { return Ok(()) };
        let (today, file) = (today(variable), stack.env.path().display());
        let found = format!("{variable} is `{today}` in {file}, which the set does not have");
        Err(Problem::failed("restore.other-user", found)
            .mend(format!("put {variable}={there} into it"))
            .into())
    }

    fn other_version(&self, image: &str, version: &Version) -> Problem {
        let found = format!(
            "the set is of PostgreSQL {}, and {image} is PostgreSQL {}, which cannot open its data",
            self.major, version.text
        );
        Problem::failed("restore.other-version", found).mend(format!(
            "choose an image of PostgreSQL {} (POSTGRES_IMAGE in .env); or take a dump of the set (backup --logical) by hand: docs/backup-and-restore.md",
            self.major
        ))
    }

    /// The variable of `.env` whose value the data does not have, and what it has instead.
    fn other_name(&self, user: &str, database: &str) -> Option<(&'static str, String)> {
        if user != self.user {
            return Some(("POSTGRES_USER", self.user.escape_debug().to_string()));
        }
        let names = self.databases.iter().map(|one| &one.name);
        let is_there = names.clone().any(|name| name.is(database));
        let all = || names.map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        (!is_there).then(|| ("POSTGRES_DB", all()))
    }

    /// With the options that `command`, the compose file's, gives it.
    pub(super) fn serve(&self, command: &[String]) -> Result<Alone> {
        let mut alone = Alone::new(SERVE, "256m", CLIENT);
        alone.args = options(command)?.to_vec();
        alone.options.extend([
            ("--env", format!("POSTGRES_USER={}", self.user)),
            ("--shm-size", "256m".to_owned()),
            ("--stop-signal", "SIGINT".to_owned()),
        ]);
        Ok(alone)
    }

    pub(super) fn compare_with(&self, psql: &Psql<'_>, scope: Scope) -> Result<Vec<Finding>> {
        let state = psql.state()?;
        let mut findings = vec![if state.in_recovery {
            Finding::error("drill.recovery", "it is still in recovery")
        } else if position(&state.lsn) < position(&self.end_lsn) {
            Finding::error(
                "drill.recovery",
                format!("its log ends at {}, before the backup's end {}", state.lsn, self.end_lsn),
            )
        } else {
            Finding::ok(
                "drill.recovery",
                format!("recovered to {}, past {}", state.lsn, self.end_lsn),
            )
        }];
        if state.system_identifier != self.system_identifier {
            findings.push(Finding::error("drill.identity", "it is another cluster"));
        }
        let mut tables = 0;
        for database in &self.databases {
            tables += database.tables.len();
            if state.databases.contains(&database.name) {
                findings.extend(database.compare(psql, scope)?);
            } else {
                let missing = format!("database {} is missing", database.name);
                findings.push(Finding::error("drill.databases", missing));
            }
        }
        if findings.len() == 1 {
            let count = self.databases.len();
            let found = format!("{count} databases and {tables} tables are there, with their rows");
            findings.push(Finding::ok("drill.databases", found));
        }
        Ok(findings)
    }
}

impl Database {
    fn compare(&self, psql: &Psql<'_>, scope: Scope) -> Result<Vec<Finding>> {
        let largest = self.tables.iter().filter(|table| table.rows.is_some());
        let largest = largest.map(|table| table.bytes).max().unwrap_or(0);
        // A restored table may be larger on disk than the smaller of two looks at the original.
        let count_below =
            if scope == Scope::Live { Bytes(0) } else { Bytes(2 * largest + (1 << 20)) };
        let looks = psql.look(std::slice::from_ref(&self.name), count_below)?;
        Ok(self.differences(
            &looks.into_iter().flat_map(|(_, tables)| tables).collect::<Vec<_>>(),
            scope,
        ))
    }

    /// What is wrong where these tables are there.
    fn differences(&self, there: &[Look], scope: Scope) -> Vec<Finding> {
        let wrong =
            |found: String| Finding::error("drill.tables", found).about(self.name.to_string());
        let mut findings = Vec::new();
        for table in &self.tables {
            let Some(look) = there.iter().find(|look| look.name == table.name) else {
                findings.push(wrong(format!("table {} is missing", table.name)));
                continue;
            };
            if scope == Scope::Live {
                continue;
            }
            match (table.rows, look.rows) {
                (Some((fewest, most)), Some(rows)) if !(fewest..=most).contains(&rows) => {
                    let found = format!("{} has {rows} rows, not {fewest} to {most}", table.name);
                    findings.push(wrong(found));
                }
                (Some(_), None) => {
                    findings.push(wrong(format!("{} cannot be counted", table.name)))
                }
                (None, _) if look.bytes < table.bytes / 2 => {
                    let (now, then) = (Bytes(look.bytes), Bytes(table.bytes));
                    findings.push(wrong(format!("{} has {now}, not {then}", table.name)));
                }
                _ => {}
            }
        }
        findings
    }
}

impl Psql<'_> {
    pub(super) fn is_ready(&self) -> bool {
        self.one(&Name::maintenance_database(), "SELECT pg_is_in_recovery()")
            .is_ok_and(|answer| answer == "f")
    }

    /// Every table and index is looked through.
    pub(super) fn check_tables(&self) -> Result<Finding> {
        let check = Client { id: self.0.id, script: CHECK_TABLES };
        let databases = connections(&self.state()?.databases);
        let output = check.cmd(&[], &databases).time_limit(6 * ANSWER).output()?;
        let id = "drill.tables-whole";
        Ok(match output.stdout.lines().next() {
            Some("pg_amcheck") if output.success() => {
                Finding::ok(id, "every table and index is whole (pg_amcheck)")
            }
            Some("pg_dump") if output.success() => Finding::ok(
                id,
                "every row can be read (pg_dump); indexes were not checked: the image has no pg_amcheck",
            ),
            _ => {
                let said = [output.stdout, output.stderr].concat();
                let first: Vec<_> = said.lines().skip(1).take(3).collect();
                Finding::error(id, format!("tables are damaged: {}", first.join("; ")))
            }
        })
    }
}

/// Holds unpacked files against the manifest that pg_basebackup has put among them.
///
/// # Errors
/// When the helper cannot run; a difference is a finding.
pub(super) fn verify_files(helper: &Helper) -> Result<Finding> {
    let output = helper.cmd(VERIFY_FILES, &[]).time_limit(6 * ANSWER).output()?;
    let id = "drill.files";
    let not_compared = |why| {
        Finding::warning(
            id,
            format!("files were not compared with the server's list of them: {why}"),
        )
    };
    Ok(match output.status {
        Some(0) => Finding::ok(id, "every file is as the server listed it (pg_verifybackup)"),
        Some(3) => {
            not_compared("the set has no backup_manifest, which PostgreSQL writes from version 13")
        }
        Some(4) => not_compared("the image has no pg_verifybackup"),
        _ => {
            let said: Vec<_> = output.stderr.lines().take(3).collect();
            Finding::error(
                id,
                format!("files differ from the server's list of them: {}", said.join("; ")),
            )
        }
    })
}

/// The server's options in the compose file's `command`.
fn options(command: &[String]) -> Result<&[String]> {
    let is_server = |word: &String| word.rsplit('/').next() == Some("postgres");
    if command.first().is_none_or(|first| first.starts_with('-')) {
        return Ok(command);
    }
    let at = command.iter().position(is_server).map(|at| at + 1);
    let words = at.and_then(|at| command.get(at..)).with_context(|| {
        format!("the compose file starts PostgreSQL by `{}`, in which no `postgres` with its options stands", command.join(" "))
    })?;
    Ok(words)
}

/// `0/3000100` as a number.
fn position(lsn: &str) -> u64 {
    let parts = lsn.split_once('/');
    parts
        .and_then(|(high, low)| {
            Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn table(text: &str, rows: Option<(u64, u64)>) -> Table {
        Table { name: name(text), bytes: 100, rows }
    }

    fn look(text: &str, bytes: u64, rows: Option<u64>) -> Look {
        Look { name: name(text), bytes, inserted: 0, deleted: 0, file: 1, rows }
    }

    #[test]
    fn a_restored_table_has_as_many_rows_as_it_may() {
        let tables = vec![table("counted", Some((5, 9))), table("large", None)];
        let database = Database { name: name("app"), tables };
        let wrong = |rows, bytes, scope| {
            let there = [look("counted", 1, rows), look("large", bytes, None)];
            database.differences(&there, scope).len()
        };
        assert_eq!(wrong(Some(5), 50, Scope::Untouched), 0);
        assert_eq!(wrong(Some(4), 50, Scope::Untouched), 1);
        assert_eq!(wrong(Some(10), 49, Scope::Untouched), 2);
        assert_eq!(wrong(None, 50, Scope::Untouched), 1, "it cannot be counted");
        assert_eq!(wrong(Some(0), 0, Scope::Live), 0, "its users are at work again");
        assert_eq!(database.differences(&[], Scope::Live).len(), 2, "they are missing");
    }

    #[test]
    fn names_in_env_that_the_data_does_not_have_are_found() {
        let databases = ["app", "postgres"];
        let databases =
            databases.map(|text| Database { name: name(text), tables: Vec::new() }).into();
        let cluster = Cluster {
            major: 15,
            user: "owner".to_owned(),
            system_identifier: String::new(),
            begin_lsn: String::new(),
            end_lsn: String::new(),
            preload: String::new(),
            databases,
        };
        assert_eq!(cluster.other_name("owner", "app"), None);
        let user = cluster.other_name("postgres", "app");
        assert_eq!(user, Some(("POSTGRES_USER", "owner".to_owned())));
        let database = cluster.other_name("owner", "other");
        assert_eq!(database, Some(("POSTGRES_DB", "app or postgres".to_owned())));
    }

    #[test]
    fn positions_in_the_log_are_compared_as_numbers() {
        assert!(position("0/9000028") < position("0/10000028"));
        assert!(position("0/FFFFFFFF") < position("1/0"));
    }

    #[test]
    fn the_options_of_the_server_are_found_in_its_command() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (command, expected) in [
            ("postgres -c a=b", Some("-c a=b")),
            ("docker-entrypoint.sh /usr/bin/postgres --a=b", Some("--a=b")),
            ("-c a=b", Some("-c a=b")),
            ("sh -c start", None),
        ] {
            assert_eq!(options(&words(command)).ok().map(<[_]>::to_vec), expected.map(words));
        }
        assert!(options(&[]).unwrap().is_empty());
    }
}
