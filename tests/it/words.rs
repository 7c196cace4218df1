//! Names and passwords of any characters: `up` ends with connection strings that work.

use tests::composes::FULL;
use tests::{Site, net};

/// Every character that is no letter or digit and that `.env` can hold for every Compose.
fn reserved() -> String {
    (' '..='~').filter(|c| !c.is_ascii_alphanumeric() && !"'\\".contains(*c)).collect()
}

#[test]
fn any_user_password_and_database_gives_connection_strings_that_work() {
    let site = Site::new("words", &[FULL[1]]);
    site.xtask(&["env", "init", "dev"]).succeeds();
    // PostgreSQL's own limit for the user that makes the cluster ("invalid character in extension
    // owner").
    let user = format!("u{}", reserved().replace(['"', '$'], ""));
    let database = format!("d{}é", reserved());
    let password = format!("Passwort für {}", reserved());
    site.set_env("POSTGRES_USER", &user);
    site.set_env("POSTGRES_DB", &database);
    site.set_env("POSTGRES_PASSWORD", &password);
    site.set_env("REDIS_PASSWORD", &password);
    site.up();
    let (postgres, redis) = (site.url("DATABASE_URL"), site.url("REDIS_URL"));
    let script = r#"psql "$URL" -Atqc "select current_user || '|' || current_database()""#;
    let said = net::client(&site.image("postgres"), &postgres, script);
    assert_eq!(said, format!("{user}|{database}"));
    let script = r#"redis-cli --no-auth-warning -u "$URL" ping"#;
    assert_eq!(net::client(&site.image("redis"), &redis, script), "PONG");
    net::eventually("every service is healthy", || {
        let status = site.xtask(&["status", "dev", "--json"]).succeeds().json();
        status["services"].as_array().unwrap().iter().all(|line| line["health"] == "healthy")
    });
    site.xtask(&["doctor", "dev"]).succeeds();
}
