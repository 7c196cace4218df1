//! A PostgreSQL that answers questions: the stack's, or one that was restored.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::super::Client;
use super::cluster::Uncounted;
use crate::postgres::name::{self, Name};
use crate::report::units::Bytes;

/// Settings that whoever owns a database can give to every session in it, the superuser's too: a
/// search path by which his function is called in place of the server's, another role, another
/// reading of quotes. A session's own settings come first.
macro_rules! own_settings {
    () => {
        r#"
export PGHOST=127.0.0.1 PGOPTIONS='-c role=none -c search_path=pg_catalog -c standard_conforming_strings=on -c statement_timeout=0 -c default_transaction_read_only=off'
"#
    };
}
pub(super) use own_settings;

/// Asks the databases that stand before the first empty line, as [`Name::connection`] writes them,
/// what stands after it. Names come as the bytes that they are. Over TCP: it works the same in the
/// stack's container, in a helper beside it and in a drill.
pub(super) const CLIENT: &str = concat!(
    own_settings!(),
    r#"
export PGUSER="$POSTGRES_USER" PGPASSWORD="${POSTGRES_PASSWORD-}" PGCLIENTENCODING=SQL_ASCII
while IFS= read -r database && [ -n "$database" ]; do set -- "$@" "$database"; done
question="$(cat)"
for database; do
    printf '%s\n' "$question" | psql --no-psqlrc --dbname "$(printf %b "$database")" --no-password --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --file -
done"#
);

/// The answer to a question about a large database may take its time.
pub(super) const ANSWER: Duration = Duration::from_secs(600);

/// What one look at a table told.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Look {
    /// Schema and name, quoted as SQL wants it.
    #[serde(deserialize_with = "name::hex")]
    pub(super) name: Name,
    pub(super) bytes: u64,
    pub(super) inserted: u64,
    pub(super) deleted: u64,
    pub(super) file: u64,
    /// Why its rows are not counted.
    pub(super) uncounted: Option<Uncounted>,
    #[serde(skip)]
    pub(super) rows: Option<u64>,
}

/// A cluster as it was at one time.
pub(super) type Looks = Vec<(Name, Vec<Look>)>;

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
    /// The roles whose names have line breaks.
    #[serde(deserialize_with = "name::hexes")]
    pub(super) broken_roles: Vec<Name>,
    /// Replication slots, which no base backup holds.
    pub(super) slots: Vec<String>,
    /// Databases of people's that are templates or allow no connection, which nobody dumps.
    #[serde(deserialize_with = "name::hexes")]
    pub(super) undumped: Vec<Name>,
    /// The databases that can be connected to.
    #[serde(deserialize_with = "name::hexes")]
    pub(super) databases: Vec<Name>,
}

/// A server whose container has psql, which [`CLIENT`] starts.
#[derive(Clone, Copy)]
pub(super) struct Psql<'a>(pub(super) Client<'a>);

/// One answer about a database: its tables come first, then the rows of one after the other.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Tables(Vec<Look>),
    Rows(Rows),
}

#[derive(Deserialize)]
struct Rows {
    #[serde(deserialize_with = "name::hex")]
    name: Name,
    rows: u64,
}

impl Psql<'_> {
    /// The one value that `sql` gives.
    ///
    /// # Errors
    /// When the server refuses.
    pub(super) fn one(&self, database: &Name, sql: &str) -> Result<String> {
        self.ask(std::slice::from_ref(database), sql)
    }

    /// What each database answers to `sql`, all in one go, since to start a program in a container
    /// takes longer than to answer.
    fn ask(&self, databases: &[Name], sql: &str) -> Result<String> {
        let limit = ANSWER * databases.len().max(1) as u32;
        self.0.cmd(&[], &(connections(databases) + "\n" + sql)).time_limit(limit).read()
    }

    /// What there is to know of the whole server.
    ///
    /// # Errors
    /// As [`Psql::one`].
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
            'broken_roles', (SELECT coalesce(json_agg(encode(namesend(rolname), 'hex')), '[]') FROM pg_roles
                WHERE position('\\x0a'::bytea IN namesend(rolname)) > 0 OR position('\\x0d'::bytea IN namesend(rolname)) > 0),
            'slots', (SELECT coalesce(json_agg(slot_name), '[]') FROM pg_replication_slots WHERE NOT temporary),
            'undumped', (SELECT coalesce(json_agg(encode(namesend(datname), 'hex') ORDER BY datname), '[]') FROM pg_database
                WHERE (datistemplate OR NOT datallowconn) AND datname NOT IN ('template0', 'template1')),
            'databases', (SELECT json_agg(encode(namesend(datname), 'hex') ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate))";
        let said = self.one(&Name::maintenance_database(), STATE)?;
        serde_json::from_str(&said).context("reading the server's state")
    }

    /// The tables and sequences of each database that are empty after a crash and in a backup.
    ///
    /// # Errors
    /// As [`Psql::one`].
    pub(super) fn unlogged(&self, databases: &[Name]) -> Result<Vec<(Name, u64)>> {
        const UNLOGGED: &str =
            "SELECT count(*) FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'S')";
        let said = self.ask(databases, UNLOGGED)?;
        let numbers = said.lines().map(|line| line.parse().context("counting unlogged tables"));
        let numbers = numbers.collect::<Result<Vec<u64>>>()?;
        ensure!(numbers.len() == databases.len(), "not every database has answered");
        Ok(databases.iter().cloned().zip(numbers).filter(|(_, number)| *number > 0).collect())
    }

    /// The permanent tables of each database, partitions among them, with their rows where they are
    /// small enough.
    ///
    /// # Errors
    /// As [`Psql::one`].
    pub(super) fn look(&self, databases: &[Name], count_below: Bytes) -> Result<Looks> {
        let tables = answers(&self.ask(databases, &question(count_below))?)?;
        ensure!(tables.len() == databases.len(), "not every database has answered");
        Ok(databases.iter().cloned().zip(tables).collect())
    }
}

/// Databases, one a line, as [`CLIENT`] and others read them.
pub(super) fn connections(databases: &[Name]) -> String {
    databases.iter().map(|database| database.connection() + "\n").collect()
}

/// What psql is told, to have [`Answer`]s.
fn question(count_below: Bytes) -> String {
    // Sizes are those of the files, since functions that tell the size of a table wait for whoever
    // has it locked. Files have at most 131072 pages each.
    const TABLES: &str = r"SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name,
        (SELECT coalesce(sum((pg_stat_file(pg_relation_filepath(part.oid) || CASE number WHEN 0 THEN '' ELSE '.' || number END, true)).size), 0)
            FROM pg_class part, generate_series(0, greatest(part.relpages, 0) / 131072 + 1) AS number
            WHERE part.oid IN (c.oid, c.reltoastrelid)) AS bytes,
        EXISTS (SELECT FROM pg_locks AS lock JOIN pg_database AS own ON own.oid = lock.database
            WHERE own.datname = current_database() AND lock.relation = c.oid
            AND lock.mode = 'AccessExclusiveLock' AND lock.granted) AS locked
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND pg_relation_filenode(c.oid) IS NOT NULL
        AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'";
    let Bytes(most) = count_below;
    // A question a table, so that one without an answer takes no other's: what is locked or dropped
    // meanwhile is left uncounted, and is no failure.
    format!(
        r"SELECT coalesce(json_agg(json_build_object(
            'name', encode(textsend(name), 'hex'), 'bytes', bytes::bigint,
            'uncounted', CASE WHEN locked THEN 'locked' WHEN bytes > {most} THEN 'large' END,
            'inserted', pg_stat_get_tuples_inserted(oid), 'deleted', pg_stat_get_tuples_deleted(oid),
            'file', pg_relation_filenode(oid)::bigint) ORDER BY oid), '[]') FROM ({TABLES}) AS tables;
        \set ON_ERROR_STOP off
        SET lock_timeout = '1s';
        SELECT format('SELECT json_build_object(''name'', %L, ''rows'', count(*)) FROM %s', encode(textsend(name), 'hex'), name)
            FROM ({TABLES}) AS tables WHERE bytes <= {most} AND NOT locked \gexec
"
    )
}

fn answers(said: &str) -> Result<Vec<Vec<Look>>> {
    let (mut databases, mut counted) = (Vec::<Vec<Look>>::new(), Vec::<HashMap<_, _>>::new());
    for answer in serde_json::Deserializer::from_str(said).into_iter() {
        match answer.context("reading what tables there are")? {
            Answer::Tables(tables) => {
                databases.push(tables);
                counted.push(HashMap::new());
            }
            Answer::Rows(Rows { name, rows }) => {
                counted.last_mut().map(|counted| counted.insert(name, rows));
            }
        }
    }
    for (tables, counted) in databases.iter_mut().zip(counted) {
        for table in tables {
            table.rows = counted.get(&table.name).copied();
            if table.rows.is_none() {
                table.uncounted.get_or_insert(Uncounted::Failed);
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
        let table = |name| {
            format!(
                r#"{{"name":"{name}","bytes":1,"inserted":0,"deleted":0,"file":1,"uncounted":null}}"#
            )
        };
        let said = format!(
            "[]\n[{},\n {}]\n{{\"name\":\"62\",\"rows\":7}}\n[{}]\n",
            table("61"),
            table("62"),
            table("62")
        );
        let rows: Vec<Vec<_>> = answers(&said)
            .unwrap()
            .iter()
            .map(|tables| tables.iter().map(|table| table.rows).collect())
            .collect();
        assert_eq!(rows, [vec![], vec![None, Some(7)], vec![None]]);
    }
}
