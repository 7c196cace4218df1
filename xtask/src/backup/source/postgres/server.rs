//! A PostgreSQL that answers questions: the stack's, or one that was restored.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::super::Client;
use crate::report::units::Bytes;

/// Over TCP: it works the same in the stack's container, in a helper beside it and in a drill.
pub(super) const CLIENT: &str = r#"export PGPASSWORD="${POSTGRES_PASSWORD-}"; exec psql --no-psqlrc --host 127.0.0.1 --username "$POSTGRES_USER" --no-password --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@""#;

/// The answer to a question about a large database may take its time.
pub(super) const ANSWER: Duration = Duration::from_secs(600);

/// What one look at a table told.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Look {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) inserted: u64,
    pub(super) deleted: u64,
    pub(super) file: u64,
    #[serde(skip)]
    pub(super) rows: Option<u64>,
}

/// A cluster as it was at one time.
pub(super) type Looks = Vec<(String, Vec<Look>)>;

/// What one question about the whole server tells.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct State {
    pub(super) version: String,
    pub(super) major: u32,
    pub(super) user: String,
    pub(super) system_identifier: String,
    /// Where its log stands.
    pub(super) lsn: String,
    pub(super) preload: String,
    pub(super) tablespaces: u64,
    pub(super) bytes: u64,
    /// Whether it still replays its log.
    pub(super) in_recovery: bool,
    /// The databases that can be connected to.
    pub(super) databases: Vec<String>,
}

/// A server whose container has psql.
pub struct Server<'a> {
    /// Its client.
    pub client: Client<'a>,
}

/// One answer about a database: its tables come first, then rows by their names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Tables(Vec<Look>),
    Rows(BTreeMap<String, u64>),
}

impl Server<'_> {
    /// The one value that `sql` gives.
    ///
    /// # Errors
    /// When the server refuses.
    pub(super) fn one(&self, database: &str, sql: &str) -> Result<String> {
        self.client.cmd(&["--dbname", database, "--file", "-"], sql).time_limit(ANSWER).read()
    }

    /// What there is to know of the whole server.
    ///
    /// # Errors
    /// As [`Server::one`].
    pub(super) fn state(&self) -> Result<State> {
        const STATE: &str = "SELECT json_build_object(
            'version', current_setting('server_version'),
            'major', current_setting('server_version_num')::int / 10000,
            'user', current_user,
            'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
            'lsn', CASE WHEN pg_is_in_recovery() THEN '0/0' ELSE pg_current_wal_lsn()::text END,
            'preload', current_setting('shared_preload_libraries'),
            'tablespaces', (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
            'bytes', (SELECT sum(pg_database_size(oid)) FROM pg_database),
            'in_recovery', pg_is_in_recovery(),
            'databases', (SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate))";
        serde_json::from_str(&self.one("postgres", STATE)?).context("reading the server's state")
    }

    /// The permanent tables of each database, partitions among them, with their rows where they are
    /// small enough; all asked in one session, since a session takes longer to start than to answer.
    ///
    /// # Errors
    /// As [`Server::one`].
    pub(super) fn look(&self, databases: &[String], count_below: Bytes) -> Result<Looks> {
        let questions: String =
            databases.iter().map(|database| question(database, count_below)).collect();
        let session = self.client.cmd(&["--dbname", "postgres", "--file", "-"], &questions);
        let said = session.time_limit(ANSWER * databases.len().max(1) as u32).read()?;
        let tables = answers(&said)?;
        ensure!(tables.len() == databases.len(), "not every database has answered");
        Ok(databases.iter().cloned().zip(tables).collect())
    }
}

/// What psql is told, to have one [`Answer`] or two.
fn question(database: &str, count_below: Bytes) -> String {
    const PERMANENT: &str = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND pg_relation_filenode(c.oid) IS NOT NULL
        AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'";
    let Bytes(most) = count_below;
    let connect = connect(database);
    // A table that is locked or dropped meanwhile leaves them uncounted, and is no failure.
    format!(
        r"{connect}
        SELECT coalesce(json_agg(json_build_object(
            'name', format('%I.%I', n.nspname, c.relname), 'bytes', pg_table_size(c.oid),
            'inserted', pg_stat_get_tuples_inserted(c.oid), 'deleted', pg_stat_get_tuples_deleted(c.oid),
            'file', pg_relation_filenode(c.oid)::bigint) ORDER BY c.oid), '[]') {PERMANENT};
        \set ON_ERROR_STOP off
        SET lock_timeout = '5s';
        SELECT 'SELECT json_object_agg(name, n) FROM ('
            || string_agg(format('SELECT %L AS name, count(*) AS n FROM %1$s', format('%I.%I', n.nspname, c.relname)), ' UNION ALL ')
            || ') AS counts' {PERMANENT} AND pg_table_size(c.oid) <= {most} \gexec
        \set ON_ERROR_STOP on
"
    )
}

/// What makes psql go to another database, whatever its name
/// (postgresql.org/docs/14/app-psql.html, `\connect`; libpq-connect.html, "Keyword/Value Connection Strings").
fn connect(database: &str) -> String {
    let value = database.replace('\\', r"\\").replace('\'', r"\'");
    let string = format!("dbname='{value}'").replace('"', "\"\"");
    format!("\\connect -reuse-previous=on \"{string}\"")
}

fn answers(said: &str) -> Result<Vec<Vec<Look>>> {
    let mut databases = Vec::<Vec<Look>>::new();
    for answer in serde_json::Deserializer::from_str(said).into_iter() {
        match answer.context("reading what tables there are")? {
            Answer::Tables(tables) => databases.push(tables),
            Answer::Rows(rows) => {
                for table in databases.last_mut().into_iter().flatten() {
                    table.rows = rows.get(&table.name).copied();
                }
            }
        }
    }
    Ok(databases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_belong_to_the_tables_before_them() {
        let table =
            |name| format!(r#"{{"name":"{name}","bytes":1,"inserted":0,"deleted":0,"file":1}}"#);
        let said =
            format!("[]\n[{},\n {}]\n{{\"b\":7}}\n[{}]\n", table("a"), table("b"), table("b"));
        let rows: Vec<Vec<_>> = answers(&said)
            .unwrap()
            .iter()
            .map(|tables| tables.iter().map(|table| table.rows).collect())
            .collect();
        assert_eq!(rows, [vec![], vec![None, Some(7)], vec![None]]);
    }

    #[test]
    fn psql_goes_to_a_database_of_any_name() {
        for (name, expected) in [
            ("plain", r#"\connect -reuse-previous=on "dbname='plain'""#),
            (r#"a' b\ "c"#, r#"\connect -reuse-previous=on "dbname='a\' b\\ ""c'""#),
        ] {
            assert_eq!(connect(name), expected);
        }
    }
}
