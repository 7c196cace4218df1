use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What is found in `text` beside the secret files `files`, as `id line found`.
fn found(text: &str, files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    for (name, contents) in files {
        let path = folder.path().join("secrets").join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let path = folder.path().join("notifications.toml");
    fs::write(&path, text).unwrap();
    let source = Source::read(path, folder.path()).unwrap().unwrap();
    let (findings, _) = judge(&source, &source.parse().unwrap());
    let line = |line: Option<usize>| line.map_or("-".to_owned(), |line| line.to_string());
    let show =
        |finding: &Finding| format!("{} {} {}", finding.id, line(finding.line), finding.found);
    findings.iter().map(show).collect()
}

const SLACK_SECRET: &str = concat!("https://hooks.slack", ".com/services/T0001/B0001/abcdefghij");

#[test]
fn a_complete_file_has_no_fault() {
    let text = r#"
        [routes]
        critical = ["pager", "team", "ops", "own"]
        warning = ["team"]
        [smtp]
        server = "smtp.example.org:587"
        from = "alerts@example.org"
        user = "alerts"
        password_file = "secrets/smtp"
        [email.ops]
        to = ["ops@example.org", "second.line+night@example.org"]
        [slack.team]
        url_file = "secrets/slack"
        [pagerduty.pager]
        key_file = "secrets/pagerduty"
        [webhook.own]
        url = "https://alerts.example.org:8443/hook?from=here"
        token_file = "secrets/token"
        [watchdog]
        url_file = "secrets/watchdog"
    "#;
    let files = [
        ("smtp", "x"),
        ("slack", SLACK_SECRET),
        ("pagerduty", "0123456789abcdef0123456789ABCDEF"),
        ("token", "t"),
        ("watchdog", "https://hc-ping.example.org/abc"),
    ];
    assert_eq!(found(text, &files), Vec::<String>::new());
}

#[test]
fn each_fault_is_found_with_its_line_and_without_the_secret() {
    let text = "[routes]\ncritical = [\"team\", \"nobody-here\"]\nwarning = [\"team\"]\n\
        [slack.team]\nurl_file = \"secrets/slack\"\n\
        [pagerduty.pager]\nkey_file = \"secrets/key\"\nurl = \"ftp://x\"\n\
        [smtp]\nserver = \"smtp.example.org\"\nfrom = \"me\"\nuser = \"me\"\n\
        [email.Ops]\nto = [\"a b@example.org\"]\n\
        [webhook.team]\nurl_file = \"secrets/none\"\n";
    let files = [("slack", "https://example.org/hidden-slack"), ("key", "hidden-key")];
    let found = found(text, &files);
    let expected = [
        "notifications.channel-name - its name must be small letters, digits and `-`",
        "notifications.channel-name - another channel has this name",
        "notifications.unknown-channel 2 `nobody-here` is not the name of a channel",
        "notifications.unrouted - no route leads to it",
        "notifications.unrouted - no route leads to it",
        "notifications.invalid 10 `smtp.example.org` is not a mail server",
        "notifications.invalid 11 `me` is not a mail address",
        "notifications.invalid 12 a user without a password",
        "notifications.invalid 14 `a b@example.org` is not a mail address",
        "notifications.invalid 5 what secrets/slack holds is not a URL of a Slack webhook",
        "notifications.invalid 7 what secrets/key holds is not a PagerDuty integration key",
        "notifications.invalid 8 `ftp://x` is not a URL",
        "notifications.secret-missing 16 the secret file secrets/none is missing",
    ];
    assert_eq!(found, expected);
}

#[test]
fn mail_needs_a_server_and_no_password_goes_in_the_clear() {
    let routes = "[routes]\ncritical = [\"ops\"]\nwarning = [\"ops\"]\n";
    let email = "[email.ops]\nto = [\"a@b\"]\n";
    let none = found(&format!("{routes}{email}"), &[]);
    assert_eq!(
        none,
        ["notifications.no-mail-server - mail needs a server: there is no section [smtp]"]
    );
    let clear = "[smtp]\nserver = \"mail:25\"\nfrom = \"a@b\"\nuser = \"u\"\npassword_file = \"secrets/p\"\ntls = false\n";
    let clear = found(&format!("{routes}{email}{clear}"), &[("p", "x")]);
    assert_eq!(
        clear,
        ["notifications.invalid 9 with tls = false the password would travel in the clear"]
    );
}

#[test]
fn a_severity_that_nobody_is_told_of_is_a_warning() {
    let text = "[slack.team]\nurl_file = \"secrets/slack\"\n[routes]\ncritical = [\"team\"]\n";
    let found = found(text, &[("slack", SLACK_SECRET)]);
    assert_eq!(found, ["notifications.unrouted - nobody is told of warning alerts"]);
}

#[test]
fn urls_are_told_from_what_only_looks_like_one() {
    for good in ["http://127.0.0.1:9000/x", "https://a.b", "http://[::1]:80", "https://u:p@h/"] {
        assert!(is_web_url(good), "{good}");
    }
    for bad in ["", "a.b", "https://", "https:///x", "http://a b", "http://h:99999/", "ftp://a"] {
        assert!(!is_web_url(bad), "{bad}");
    }
    assert!(is_slack_url(SLACK_SECRET));
    for bad in [
        "http://hooks.slack.com/services/T/B/x",
        concat!("https://hooks.slack", ".com/services/T/B"),
        concat!("https://hooks.slack", ".com/services/T/B/"),
        "https://hooks.slack.com.evil.org/services/T/B/x",
        "https://example.slack.com/archives/T/B/x",
    ] {
        assert!(!is_slack_url(bad), "{bad}");
    }
}
