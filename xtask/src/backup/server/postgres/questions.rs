//! What a restored PostgreSQL is asked, and how it is started alone.

use anyhow::{Context as _, Result};

use super::super::{Alone, Client};
use super::Cluster;
use super::psql::{ANSWER, CLIENT, Psql, connections, own_settings};
use crate::docker::helper::Helper;
use crate::postgres::name::Name;
use crate::postgres::version::Version;
use crate::report::finding::{Finding, Problem};
use crate::stack::Stack;

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
}

impl Psql<'_> {
    pub(super) fn is_ready(&self) -> bool {
        self.one(&Name::maintenance_database(), "SELECT pg_is_in_recovery()")
            .is_ok_and(|answer| answer == "f")
    }

    /// Every table and index is looked through.
    pub(super) fn check_tables(&self) -> Result<Vec<Finding>> {
        let check = Client { id: self.0.id, script: CHECK_TABLES };
        let databases = connections(&self.state()?.databases);
        let output = check.cmd(&[], &databases).time_limit(6 * ANSWER).output()?;
        let id = "drill.tables-whole";
        let said = [&*output.stdout, &*output.stderr].concat();
        let first: Vec<_> = said.lines().skip(1).take(3).collect();
        let first = first.join("; ");
        Ok(match (output.stdout.lines().next(), output.status) {
            (Some("pg_amcheck"), Some(0)) => {
                vec![Finding::proven(id, "every table and index is whole (pg_amcheck)")]
            }
            (Some("pg_dump"), Some(0)) => vec![
                Finding::proven(id, "every row can be read (pg_dump)"),
                Finding::not_looked_at("drill.indexes", "indexes: the image has no pg_amcheck"),
            ],
            // Otherwise it has not come to look.
            (Some("pg_amcheck"), Some(2)) | (Some("pg_dump"), Some(1)) => {
                vec![Finding::refuted(id, format!("tables are damaged: {first}"))]
            }
            _ => {
                vec![Finding::no_answer(id, format!("tables could not be looked through: {first}"))]
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
        Finding::not_looked_at(
            id,
            format!("files were not compared with the server's list of them: {why}"),
        )
    };
    Ok(match output.status {
        Some(0) => Finding::proven(id, "every file is as the server listed it (pg_verifybackup)"),
        Some(3) => {
            not_compared("the set has no backup_manifest, which PostgreSQL writes from version 13")
        }
        Some(4) => not_compared("the image has no pg_verifybackup"),
        status => {
            let said: Vec<_> = output.stderr.lines().take(3).collect();
            let said = said.join("; ");
            if status == Some(1) {
                Finding::refuted(id, format!("files differ from the server's list of them: {said}"))
            } else {
                Finding::no_answer(id, format!("files could not be compared: {said}"))
            }
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

#[cfg(test)]
mod tests {
    use super::super::Database;
    use super::*;
    use crate::postgres::name::Name;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
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
