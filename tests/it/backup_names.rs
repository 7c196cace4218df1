//! Names that a database role chooses, against the backup that runs as superuser: attacks, and
//! every byte that a name can have.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use tests::composes::FULL;
use tests::{Random, Site, is_long, on_each_postgres, on_postgres_13, seed};
use xtask::postgres::name::Name;

on_each_postgres!(a_user_and_a_database_that_need_quoting_go_through_everything);
on_postgres_13!(
    a_role_that_may_create_databases_stays_what_it_is,
    a_database_of_any_name_is_backed_up_and_dumped,
    what_a_database_sets_for_its_sessions_does_not_change_a_backup,
);

/// Has psql inside run a script as `user`, whom the server trusts there; says what it printed.
fn script(site: &Site, user: &str, sql: &[u8]) -> String {
    let mut psql = Command::new("docker")
        .args(["exec", "--interactive", "--env", "PGCLIENTENCODING=SQL_ASCII"])
        // Goes before what a database sets, from a session's first statement on.
        .args(["--env", "PGOPTIONS=-c statement_timeout=0 -c default_transaction_read_only=off"])
        .arg(site.development().container("postgres"))
        .args(["psql", "-XAtq", "-h", "127.0.0.1", "-U", user, "-d", "postgres", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("docker runs");
    psql.stdin.take().unwrap().write_all(sql).unwrap();
    let output = psql.wait_with_output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn identifier(name: &[u8]) -> Vec<u8> {
    let doubled = name.iter().flat_map(|byte| vec![*byte; if *byte == b'"' { 2 } else { 1 }]);
    [b"\"".to_vec(), doubled.collect(), b"\"".to_vec()].concat()
}

/// The databases in the set's manifest, each with the names and rows of its tables.
fn databases(site: &Site, id: &str) -> Vec<(Name, Vec<(Name, u64)>)> {
    let manifest = site.manifest(id).1;
    let services = manifest["services"].as_array().unwrap();
    let postgres = services.iter().find(|service| service["name"] == "postgres").unwrap();
    let name = |value: &serde_json::Value| serde_json::from_value(value["name"].clone()).unwrap();
    let tables = |database: &serde_json::Value| {
        let tables = database["tables"].as_array().unwrap().iter();
        tables.map(|table| (name(table), table["rows"][0].as_u64().unwrap_or(0))).collect()
    };
    let databases = postgres["facts"]["databases"].as_array().unwrap().iter();
    databases.map(|database| (name(database), tables(database))).collect()
}

/// What a drill says of sound tables; pg_amcheck came with PostgreSQL 14.
fn whole(on: &str) -> &'static str {
    if on.contains(":13") { "every row can be read" } else { "every table and index is whole" }
}

/// Functions that take the place of the server's own where a session looks for them, and make
/// `app` superuser if the session may.
const TROJANS: &str = r#"
create function public.rise() returns void language plpgsql as $$
begin execute 'alter role app superuser'; exception when others then null; end $$;
create function public.format(text, name, name) returns text language sql as
    $$ select public.rise(); select pg_catalog.format($1, $2, $3) $$;
create function public.pg_table_size(bigint) returns bigint language sql as $$ select public.rise(); select 1::bigint $$;
create function public.current_setting(text) returns text language sql as
    $$ select public.rise(); select pg_catalog.current_setting($1) $$;
create function public.pg_create_physical_replication_slot(text, boolean, boolean) returns text language sql as
    $$ select public.rise(); select 'none'::text $$;
create table public.theirs as select 1 as n;
"#;

fn a_role_that_may_create_databases_stays_what_it_is(on: &'static str) {
    let site = Site::new("attack", &[FULL[1]]).on(on);
    site.up();
    site.sql("create role app login createdb");
    let names = [
        "y\nALTER ROLE app SUPERUSER;--",
        "y\n\\! touch /tmp/owned\n",
        "y' host='evil' user='app",
        "`touch /tmp/owned`",
        "$(touch /tmp/owned)",
        "dbname=postgres host=evil",
        "postgresql://evil/postgres",
        "--file=/tmp/owned",
        "%00 :slot :'slot' \\connect",
    ];
    for name in names {
        let create = [b"create database ".to_vec(), identifier(name.as_bytes()), b";\n".to_vec()];
        script(&site, "app", &create.concat());
    }
    script(&site, "app", format!("create database own;\n\\connect own\n{TROJANS}").as_bytes());
    // Before PostgreSQL 15 everybody may create functions there.
    script(&site, "app", TROJANS.as_bytes());

    let role = || site.sql("select rolsuper, rolcreaterole from pg_roles where rolname = 'app'");
    let back_up = |more: &[&str]| {
        let made = site.xtask(&[&["backup", "create", "dev", "--json"], more].concat());
        assert_eq!(role(), "f|f", "the backup has made a superuser of it");
        made
    };
    back_up(&[]);
    let made = back_up(&["--logical"]);
    let id = made.succeeds().json()["sets"][0]["id"].as_str().unwrap().to_owned();
    for (cmd, args) in [("drill", vec![&*id]), ("restore", vec![&*id, "--yes"])] {
        site.xtask(&[&["backup", cmd], &args[..]].concat()).succeeds();
        assert_eq!(role(), "f|f", "the {cmd} has made a superuser of it");
    }
    let backed_up: HashSet<Name> = databases(&site, &id).into_iter().map(|one| one.0).collect();
    for name in names {
        assert!(backed_up.contains(&Name::new(name).unwrap()), "{name:?} is not in the set");
    }

    // Whoever restores a dump has psql run it.
    site.sql("create role \"r\nalter role app superuser;--\"");
    let refused = site.xtask(&["backup", "create", "dev", "--logical"]).ends_with(1);
    refused.says(r"`r\nalter role app superuser;--` has a line break").says("RENAME TO");
    site.backup(&[]);
}

fn what_a_database_sets_for_its_sessions_does_not_change_a_backup(on: &'static str) {
    let site = Site::new("settings", &[FULL[1]]).on(on);
    site.up();
    site.sql("create role app login createdb");
    let settings = [
        "search_path = public, pg_catalog",
        "standard_conforming_strings = off",
        "client_encoding = 'LATIN1'",
        "default_transaction_read_only = on",
        "statement_timeout = 1",
        "role = 'app'",
    ];
    let set = settings.map(|setting| format!("alter database own set {setting};\n")).concat();
    let own = format!("create database own;\n{set}\\connect own\n{TROJANS}");
    script(&site, "app", own.as_bytes());
    // What `app` may not read.
    let secret = "\\connect own\nset role none;\ncreate table public.secret as select 2 as n;";
    script(&site, "postgres", secret.as_bytes());

    let id = site.backup(&["--logical"]);
    let own = databases(&site, &id).into_iter().find(|one| one.0.is("own")).expect("own").1;
    let expected = ["public.theirs", "public.secret"].map(|name| (Name::new(name).unwrap(), 1));
    assert_eq!(own, expected);
    site.xtask(&["backup", "drill", &id]).succeeds().says(whole(on)).says("as the server listed");
    assert_eq!(site.sql("select rolsuper from pg_roles where rolname = 'app'"), "f");
}

/// Names as no person would choose them, up to 63 bytes.
fn names(count: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed());
    let hostile = b"\n\r\t'\"\\%=$`:;- \x01\x1b\x7f\xe9\xff\xc3\xa9a0";
    let mut byte = move |any: bool| match any {
        true => 1 + random.below(255) as u8,
        false => hostile[random.below(hostile.len() as u64) as usize],
    };
    let mut names: Vec<Vec<u8>> = (0..count)
        .map(|n| (0..=62 - n % 7 * 10).map(|at| byte((at + n) % 3 == 0)).collect())
        .collect();
    let known: [&[u8]; 4] = [b"\n", b" ", b"-", b"caf\xe9"];
    names.extend(known.map(<[u8]>::to_vec));
    names.extend(["Grüße, 世界\n".to_owned(), "é".repeat(31)].map(String::into_bytes));
    names
}

fn a_database_of_any_name_is_backed_up_and_dumped(on: &'static str) {
    let site = Site::new("names", &[FULL[1]]).on(on);
    site.up();
    // One of each length; more of them with --long.
    let names = names(if is_long() { 28 } else { 7 });
    // Its text is in no encoding, so every byte but NUL is taken.
    let plain = "template template0 encoding sql_ascii lc_collate 'C' lc_ctype 'C'";
    let mut sql =
        format!("create database plain {plain};\ncreate database seed {plain};\n").into_bytes();
    for (n, name) in names.iter().enumerate() {
        // Copied with its table, so that the test connects to none of them.
        let table = [format!("table {n} ").as_bytes(), name].concat();
        let table = identifier(&table[..table.len().min(63)]);
        sql.extend(b"\\connect seed\ncreate table ");
        sql.extend(&table);
        sql.extend(
            format!(" as select generate_series(0, {n});\n\\connect plain\ncreate database ")
                .bytes(),
        );
        sql.extend(identifier(name));
        sql.extend(b" template seed;\n\\connect seed\ndrop table ");
        sql.extend(table);
        sql.extend(b";\n");
    }
    script(&site, "postgres", &sql);

    let id = site.backup(&["--logical"]);
    site.xtask(&["backup", "drill", &id]).succeeds();
    let there = databases(&site, &id);
    for (n, name) in names.iter().enumerate() {
        let tables = there.iter().find(|one| one.0 == Name::new(&**name).unwrap());
        let (_, tables) = tables.unwrap_or_else(|| panic!("{name:?} is not in the manifest"));
        assert!(matches!(&tables[..], [(_, rows)] if *rows == n as u64 + 1), "{name:?} {tables:?}");
    }
    assert!(!fs::read_to_string(site.manifest(&id).0).unwrap().contains('\u{fffd}'));

    let to = site.root().join("looked");
    site.xtask(&["backup", "restore", &id, "--to", to.to_str().unwrap()]).succeeds();
    let files = fs::read_dir(to.join("postgres")).unwrap().flatten().map(|entry| entry.path());
    let dumps: Vec<_> = files
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains("dump-"))
        .map(|path| fs::read(path).unwrap())
        .collect();
    assert_eq!(dumps.len(), there.len());
    for n in 0..names.len() {
        let word = format!("table {n} ");
        let has_it = |dump: &&Vec<u8>| dump.windows(word.len()).any(|part| part == word.as_bytes());
        assert_eq!(dumps.iter().filter(has_it).count(), 1, "{word}");
    }
}

fn a_user_and_a_database_that_need_quoting_go_through_everything(on: &'static str) {
    let site = Site::new("quoting", &[FULL[1]]).on(on);
    site.xtask(&[&["setup", "dev"], Site::images()].concat()).succeeds();
    // Without any of "$'\\, which PostgreSQL refuses in the owner of its own extensions.
    site.set_env("POSTGRES_USER", "app-User; %x=1");
    site.set_env("POSTGRES_DB", "dbname=postgres host=evil '%/?&");
    site.set_env("POSTGRES_PASSWORD", r#"first "%a:@/?=#; --"#);
    site.up();
    site.sql("create table kept as select generate_series(1, 100) as n");
    // The compose file has another one, which counts for the server that sets the password too.
    site.sql("alter system set password_encryption = 'md5'");
    let id = site.backup(&["--logical"]);
    site.xtask(&["backup", "verify", "--deep"]).succeeds();
    let drill = site.xtask(&["backup", "drill", &id]).succeeds().says("as the server listed");
    drill.says(whole(on));

    site.set_env("POSTGRES_PASSWORD", "an'other %b:@/?=#; one");
    site.xtask(&["env", "set-password", "dev", "postgres"]).succeeds();
    site.xtask(&["up", "dev"]).succeeds();
    site.sql("drop table kept");
    site.xtask(&["backup", "restore", &id, "--yes"]).succeeds();
    assert_eq!(site.sql("select count(*) from kept"), "100");
    let verifier = "select left(rolpassword, 13) from pg_authid where rolname = current_user";
    assert_eq!(site.sql(verifier), "SCRAM-SHA-256");
    site.xtask(&["backup", "restore", "dev", "--undo", "--yes"]).succeeds();
    assert_eq!(site.sql("select to_regclass('kept') is null"), "t");
    site.xtask(&["backup", "restore", "dev", "--drop", "--yes"]).succeeds();
    assert!(site.kept().is_empty());
}
