//! What a drill and a restore say: what was proven, what was refuted, and what nobody looked at.

use tests::composes::FULL;
use tests::{Site, docker};

/// A session that holds the table until its server ends it.
fn lock(site: &Site, table: &str) {
    let container = site.development().container("postgres");
    let hold = format!("begin; lock table {table}; select pg_sleep(3600)");
    let ask = r#"PGPASSWORD="$POSTGRES_PASSWORD" exec psql -h 127.0.0.1 -U postgres -d "$POSTGRES_DB" -c "$1""#;
    docker(&["exec", "--detach", &container, "sh", "-euc", ask, "sh", &hold]);
    let held = format!(
        "select count(*) from pg_locks where relation = '{table}'::regclass and granted and mode = 'AccessExclusiveLock'"
    );
    while site.sql(&held) != "1" {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn twelve_thousand_tables_are_counted_and_a_locked_one_is_named_and_not_waited_for() {
    let site = Site::new("answers", &[FULL[1]]);
    site.up();
    site.sql("do $$ begin for n in 1..12000 loop execute format('create table t%s as select 1 as n', n); if n % 400 = 0 then commit; end if; end loop; end $$");
    site.sql("create table held as select 1 as n");
    lock(&site, "held");
    let id = site.backup(&["--only", "postgres"]);
    let held = "select count(*) from pg_locks where relation = 'held'::regclass and granted";
    assert_eq!(site.sql(held), "1", "it is locked still");

    site.xtask(&["backup", "drill", "dev", &id])
        .succeeds()
        .says("12001 tables are there; the rows of 12000 are as many as recorded")
        .says("the rows of 1 table were not counted when the set was made: 1 locked then (public.held)")
        .says("as far as was looked at (not: 1)");
    let listed = site.xtask(&["backup", "list", "--json"]).succeeds().json();
    let answers = &listed["sets"][0]["drill"]["answers"];
    assert_eq!(answers["not_looked_at"].as_array().unwrap().len(), 1, "{answers}");
    site.xtask(&["backup", "list", "dev"]).succeeds().says(", in part");
    let metrics = std::fs::read_to_string(site.data().join("metrics/backup.prom")).unwrap();
    assert!(metrics.contains("backup_last_drill_not_looked_at{stack=\"development\"} 1\n"));
}

#[test]
fn a_server_that_is_read_only_by_default_is_not_damaged() {
    let site = Site::new("read-only", &[FULL[1]]);
    site.up();
    site.sql("create table kept as select 7 as n");
    site.sql("alter system set default_transaction_read_only = on");
    site.sql("select pg_reload_conf()");
    while site.sql("show default_transaction_read_only") != "on" {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let id = site.backup(&["--only", "postgres"]);
    site.xtask(&["backup", "drill", "dev", &id]).succeeds().says(&format!("{id} restores: "));
    site.xtask(&["backup", "restore", &id, "--yes"])
        .succeeds()
        .says("every table and index is whole");
    assert_eq!(site.sql("select n from kept"), "7");
}

#[test]
fn a_restore_asks_what_a_drill_asks_and_tells_of_a_failed_one() {
    let site = Site::new("as-drill", &[FULL[1]]);
    site.up();
    // An index whose order the server does not share any more: only pg_amcheck sees it.
    let compare = |arguments: &str| {
        site.sql(&format!("create or replace function compare(int, int) returns int language sql immutable as 'select btint4cmp({arguments})'"));
    };
    compare("$1, $2");
    site.sql("create operator class odd for type int4 using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 compare(int, int)");
    site.sql("create table t as select generate_series(1, 1000) as n");
    site.sql("create index broken on t (n odd)");
    compare("$2, $1");
    let id = site.backup(&["--only", "postgres"]);
    site.sql("create table later as select 1 as n");

    site.xtask(&["backup", "restore", &id])
        .ends_with(1)
        .says(&format!("never drilled: cargo xtask backup drill dev {id}"));
    site.xtask(&["backup", "drill", "dev", &id])
        .ends_with(1)
        .says("tables are damaged")
        .says(&format!("{id} DOES NOT RESTORE: "));
    site.xtask(&["backup", "restore", &id, "--yes"])
        .ends_with(1)
        .says("the last drill of this set, ")
        .says("DOES NOT RESTORE")
        .says("nothing has changed")
        .says("tables are damaged");
    assert_eq!(site.sql("select n from later"), "1");
    let quick = site.xtask(&["backup", "restore", &id, "--yes", "--quick", "--json"]).succeeds();
    let answers = quick.says("not everything was read, as --quick wants it").json();
    assert_eq!(answers["answers"]["not_looked_at"].as_array().unwrap().len(), 1, "{answers}");
    let journal = site.data().join("state/development-restore.json");
    let journal = std::fs::read_to_string(journal).unwrap();
    assert!(journal.contains("as --quick wants it"), "{journal}");
    let gone = site.sql("select count(*) from pg_class where relname = 'later'");
    assert_eq!(gone, "0");
}
