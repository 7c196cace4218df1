//! PostgreSQL: a physical base backup with the write-ahead log that it needs, and dumps on request.

mod cluster;
mod compare;
mod psql;
mod questions;

use std::collections::HashMap;

use anyhow::{Context as _, Result};

pub use self::cluster::Cluster;
use self::cluster::{Database, Table};
use self::compare::Scope;
use self::psql::{CLIENT, Look, Looks, Psql, State, own_settings};
use super::{Alone, Begun, Client, Part, Server, Stream, Subject};
use crate::backup::set::Content;
use crate::docker::helper::Helper;
use crate::host::user;
use crate::postgres::name::Name;
use crate::process::Output;
use crate::report::finding::{Finding, Problem};
use crate::report::units::count;
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// Bytes of its log that a base backup holds at least.
const LOG: u64 = 32 << 20;

/// One tar stream with the write-ahead log at its end. psql holds a temporary replication slot
/// meanwhile, so that no part of that log is recycled under load; the slot goes with the session,
/// also when everything is killed. pg_basebackup speaks English, since its words are read.
const BASE_BACKUP: &str = concat!(
    own_settings!(),
    r#"
IFS= read -r PGPASSWORD || :
export PGPASSWORD PGUSER="$1" PGDATABASE=postgres LC_ALL=C
psql --no-psqlrc --no-password --quiet --output /dev/null --set ON_ERROR_STOP=1 --set slot="$2" <<'END'
SELECT pg_create_physical_replication_slot(:'slot', true, true);
\! pg_basebackup --pgdata - --format tar --wal-method fetch --checkpoint fast --label xtask --no-password --verbose; echo $? >/tmp/status
END
exit "$(cat /tmp/status)""#
);

const DUMP: &str = concat!(
    own_settings!(),
    r#"
IFS= read -r PGPASSWORD || :
export PGPASSWORD PGUSER="$1"
exec pg_dump --no-password --format custom --compress 0 --dbname "$(printf %b "$2")""#
);

/// Roles and tablespaces, which belong to no database.
const GLOBALS: &str = concat!(
    own_settings!(),
    r#"
IFS= read -r PGPASSWORD || :
export PGPASSWORD PGUSER="$1"
exec pg_dumpall --no-password --globals-only"#
);

impl Server for Cluster {
    fn streams(subject: &Subject<'_>) -> Result<Vec<Stream>> {
        let psql = Psql(subject.client(CLIENT));
        let state = psql.state()?;
        refuse_tablespaces(&state)?;
        let whole = Part::new("data", state.bytes + LOG);
        let mut data = stream(subject, &state, Content::Data, BASE_BACKUP, whole);
        data.args.push(format!("xtask_{}", std::process::id()));
        let mut streams = vec![data];
        if subject.logical {
            refuse_broken_roles(&state)?;
            let globals = Part::new("globals.sql", 0);
            streams.push(stream(subject, &state, Content::Dump, GLOBALS, globals));
            for database in &state.databases {
                let size = "SELECT pg_database_size(current_database())";
                let size = psql.one(database, size)?.parse().unwrap_or(0);
                let part = Part::new(&format!("dump-{}", database.file_part()), size);
                let mut dump = stream(subject, &state, Content::Dump, DUMP, part);
                dump.args.push(database.connection());
                streams.push(dump);
            }
        }
        Ok(streams)
    }

    fn begin(subject: Subject<'_>, expected: Vec<Stream>) -> Result<Begun<'_>> {
        let psql = Psql(subject.client(CLIENT));
        let look = move || -> Result<_> {
            let state = psql.state()?;
            let looks = psql.look(&state.databases, subject.config.count_rows_below)?;
            Ok((state, looks))
        };
        let (State { lsn: begin_lsn, .. }, before) = look()?;
        let finish = move |said: &[Output]| {
            let (state, after) = look()?;
            let lacks = lacks(&state, &psql.unlogged(&state.databases)?, subject.logical);
            let end_lsn = said.iter().find_map(|output| end_point(&output.stderr));
            let cluster = Self {
                major: state.major,
                user: state.user,
                system_identifier: state.system_identifier,
                begin_lsn,
                end_lsn: end_lsn.context("pg_basebackup did not say where it ended")?,
                preload: state.preload,
                databases: merged(before, after),
            };
            Ok(subject.record(state.version, &cluster)?.lacking(lacks))
        };
        Ok((expected, Box::new(finish)))
    }

    fn refuse(&self, stack: &Stack, image: &str) -> Result<()> {
        self.refuse_restore(stack, image)
    }

    fn alone(&self, stack: &Stack, service: &Service) -> Result<Alone> {
        self.serve(&stack.command(service)?)
    }

    fn look_at_files(&self, helper: &Helper) -> Result<Option<Finding>> {
        questions::verify_files(helper).map(Some)
    }

    fn is_ready(&self, client: Client<'_>) -> bool {
        Psql(client).is_ready()
    }

    fn adapt(&self, stack: &Stack, service: &Service, client: Client<'_>) -> Result<()> {
        client.set_password(stack, service, &[])
    }

    fn compare(&self, client: Client<'_>) -> Result<Vec<Finding>> {
        self.compare_with(&Psql(client), Scope::Untouched)
    }

    fn look_through(&self, client: Client<'_>) -> Result<Vec<Finding>> {
        Psql(client).check_tables()
    }

    fn prove(&self, _: &Stack, _: &Service, id: &str) -> Result<Vec<Finding>> {
        self.compare_with(&Psql(Client { id, script: CLIENT }), Scope::Live)
    }
}

/// What the server has and a set of it does not hold.
fn lacks(state: &State, unlogged: &[(Name, u64)], logical: bool) -> Vec<String> {
    let mut lacks = Vec::new();
    for (database, number) in unlogged {
        let tables = count(usize::try_from(*number).unwrap_or(usize::MAX), "unlogged table");
        lacks
            .push(format!("the rows of {tables} of {database}, which PostgreSQL writes to no log"));
    }
    if !state.slots.is_empty() {
        let slots = state.slots.join(", ");
        lacks.push(format!("replication slots ({slots}): make them anew after a restore"));
    }
    if logical && !state.undumped.is_empty() {
        let names: Vec<_> = state.undumped.iter().map(ToString::to_string).collect();
        lacks.push(format!(
            "dumps of {}, which are templates or allow no connection; the data directory has them",
            names.join(", ")
        ));
    }
    lacks
}

/// What `script` writes for the superuser, run beside the server by our own user.
fn stream(
    subject: &Subject<'_>,
    state: &State,
    content: Content,
    script: &'static str,
    part: Part,
) -> Stream {
    let helper = subject.helper().beside(&subject.container.id).user(user::owner());
    let helper = helper.option("--tmpfs", "/tmp:size=16m,mode=1777");
    let password = subject.stack.env.get("POSTGRES_PASSWORD").unwrap_or_default();
    Stream {
        content,
        args: vec![state.user.clone()],
        input: Some(format!("{password}\n").into_bytes()),
        ..Stream::data(helper, script, "", vec![part])
    }
}

fn refuse_tablespaces(state: &State) -> Result<()> {
    let count = state.tablespaces;
    if count == 0 {
        return Ok(());
    }
    Err(Problem::failed(
        "backup.tablespaces",
        format!(
            "postgres has {count} tablespace(s) of its own, which lie outside its data directory"
        ),
    )
    .mend("move their tables: ALTER TABLE … SET TABLESPACE pg_default; then DROP TABLESPACE")
    .into())
}

/// pg_dumpall writes a role's name into a comment, and older ones as it stands: psql would run what
/// stands after the line break.
fn refuse_broken_roles(state: &State) -> Result<()> {
    let Some(role) = state.broken_roles.first() else { return Ok(()) };
    Err(Problem::failed(
        "backup.role-name",
        format!("the name of the role `{role}` has a line break, with which pg_dumpall writes no safe file"),
    )
    .mend("give it another name (ALTER ROLE … RENAME TO …), or make the set without --logical")
    .into())
}

/// `pg_basebackup: write-ahead log end point: 0/3000100`.
fn end_point(stderr: &str) -> Option<String> {
    let line = stderr.lines().find(|line| line.contains("write-ahead log end point: "))?;
    line.rsplit(' ').next().map(str::to_owned)
}

/// What a restored server may have, given what was there just before and just after: rows that
/// came or went meanwhile may be in it or not.
fn merged(before: Looks, after: Looks) -> Vec<Database> {
    let mut databases = Vec::new();
    for (name, looks) in before {
        // What was dropped meanwhile may be in the backup or not: nothing can be said of it.
        let Some((_, later)) = after.iter().find(|(other, _)| *other == name) else { continue };
        let later: HashMap<_, _> = later.iter().map(|look| (&look.name, look)).collect();
        let tables = looks.into_iter().filter_map(|look| {
            let later = *later.get(&look.name)?;
            let bytes = look.bytes.min(later.bytes);
            let rows = bounds(&look, later);
            let why = look.uncounted.or(later.uncounted).filter(|_| rows.is_none());
            Some(Table { bytes, rows, uncounted: why, name: look.name })
        });
        databases.push(Database { tables: tables.collect(), name });
    }
    databases
}

fn bounds(before: &Look, after: &Look) -> Option<(u64, u64)> {
    let (first, last) = (before.rows?, after.rows?);
    let inserted = after.inserted.saturating_sub(before.inserted);
    let deleted = after.deleted.saturating_sub(before.deleted);
    // Another file: it was truncated or rewritten.
    let rewritten = before.file != after.file;
    let fewest = if rewritten { 0 } else { first.min(last).saturating_sub(deleted) };
    Some((fewest, first.max(last).saturating_add(inserted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(rows: u64, inserted: u64, deleted: u64, file: u64) -> Look {
        let (name, rows) = (Name::new("t").unwrap(), Some(rows));
        Look { name, bytes: 1, inserted, deleted, file, uncounted: None, rows }
    }

    #[test]
    fn rows_that_came_or_went_meanwhile_may_be_there_or_not() {
        assert_eq!(bounds(&look(5, 5, 0, 1), &look(5, 5, 0, 1)), Some((5, 5)));
        assert_eq!(bounds(&look(5, 5, 0, 1), &look(9, 9, 0, 1)), Some((5, 13)));
        assert_eq!(bounds(&look(5, 5, 0, 1), &look(5, 105, 100, 1)), Some((0, 105)));
        assert_eq!(bounds(&look(50, 5, 0, 1), &look(0, 5, 0, 2)), Some((0, 50)), "truncated");
    }

    #[test]
    fn the_end_of_a_base_backup_is_read_from_what_it_says() {
        let said = "pg_basebackup: checkpoint completed\npg_basebackup: write-ahead log end point: 0/2000100\npg_basebackup: done\n";
        assert_eq!(end_point(said).as_deref(), Some("0/2000100"));
    }
}
