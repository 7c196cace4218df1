use super::*;

fn environment(name: &str) -> Option<String> {
    (name == "E").then(|| "env".to_owned())
}

fn read(text: &str) -> Vec<(usize, String, Result<String, Why>)> {
    let all = parse(text, &environment).into_iter();
    all.map(|one| (one.line, one.key, one.value)).collect()
}

#[test]
fn what_every_compose_reads_alike_is_read() {
    for (line, value) in [
        ("A=abc-123_./:@%+,=~", "abc-123_./:@%+,=~"),
        ("  A = 1 \r", "1"),
        ("export \tA=1", "1"),
        ("A=", ""),
        ("A= # fill in", "# fill in"),
        ("A=a b  c # why", "a b  c"),
        ("A=a#b", "a#b"),
        ("A='a \"#b' # why", "a \"#b"),
        ("A=\"it's\"#why", "it's"),
        (r#"A="a\"b\\c""#, r#"a"b\c"#),
        ("A='$E'", "$E"),
        ("A=a'b'c\"d\"", "a'b'c\"d\""),
        ("A=a$1 $ $-$", "a$1 $ $-$"),
        ("A=x${E}y${X}", "xenvy"),
        ("A=zażółć 日本 🐘", "zażółć 日本 🐘"),
        ("\u{feff}A=1", "1"),
    ] {
        assert_eq!(read(line), [(1, "A".to_owned(), Ok(value.to_owned()))], "{line}");
    }
    assert_eq!(read("# A=1\n\n  \n").len(), 0);
    assert_eq!(read("B=2\nA=${B}")[1].2, Ok("2".to_owned()));
}

#[test]
fn what_they_read_differently_is_named_and_nothing_else_is_lost() {
    for (line, why) in [
        ("A", NO_NAME),
        ("A: 1", NO_NAME),
        ("A B=1", NO_NAME),
        ("1A=1", NO_NAME),
        ("A=a\\nb", BACKSLASH),
        (r#"A="a\nb""#, BACKSLASH),
        (r"A='a\b'", BACKSLASH),
        (r"A='it\'s'", QUOTE_END),
        (r#"A="a\\""#, QUOTE_END),
        ("A=a$b", DOLLAR),
        ("A=a$$b", DOLLAR),
        ("A='${E}'", DOLLAR),
        ("A=${X:-d}", TEMPLATE),
        ("A=${E", TEMPLATE),
        ("A=\"x", OPEN_QUOTE),
        ("A=\"x\"y", BEHIND_QUOTE),
        ("A=1\t# one", ODD_BLANK),
        ("A=\u{a0}1", ODD_BLANK),
        ("A=1\rB=2", LINE_BREAK),
    ] {
        let all = read(&format!("{line}\nC=3\n"));
        assert_eq!(all[0].2, Err(why), "{line}");
        assert_eq!(all[1], (2, "C".to_owned(), Ok("3".to_owned())), "{line}");
    }
    assert_eq!(read("E=file\nA=${E}")[1].2, Err(DOLLAR), "the environment has another");
}

#[test]
fn sets_one_value_and_touches_nothing_else() {
    for (before, after) in [
        ("", "A=new\n"),
        ("B=1", "B=1\nA=new\n"),
        ("B=1\r\n", "B=1\r\nA=new\r\n"),
        ("A=\nB=2\n", "A=new\nB=2\n"),
        ("A=old # why\r\nB=2\r\n", "A=new # why\r\nB=2\r\n"),
        ("export A = 'old' # why\nB=2", "export A = new # why\nB=2"),
        ("A=1\nA=2\nB=3\n", "A=1\nA=new\nB=3\n"),
        ("# A=1\nAA=2\n  A=3\n", "# A=1\nAA=2\n  A=new\n"),
        ("\u{feff}A=1\n", "\u{feff}A=new\n"),
        ("A: 1\n", "A: 1\nA=new\n"),
        ("A=1\nB='broken\n", "A=new\nB='broken\n"),
        ("A=old\\n\n", "A=new\n"),
    ] {
        assert_eq!(set(before, "A", "new").as_deref(), Some(after), "{before:?}");
    }
}

#[test]
fn quotes_where_needed_and_refuses_what_cannot_be_said() {
    for (value, spelled) in [
        ("", Some("A=\n")),
        ("/srv/data", Some("A=/srv/data\n")),
        ("/home/a b", Some("A='/home/a b'\n")),
        (r#"a$b#"c"#, Some("A='a$b#\"c'\n")),
        ("it's", Some("A=\"it's\"\n")),
        (r#"it's "a\b""#, Some("A=\"it's \\\"a\\\\b\\\"\"\n")),
        ("it's $5", Some("A=\"it's $5\"\n")),
        ("two\nlines", None),
        ("${B}", None),
        ("it's $x", None),
    ] {
        assert_eq!(set("", "A", value).as_deref(), spelled, "{value:?}");
        assert_eq!(is_plain(value), matches!(value, "" | "/srv/data"), "{value:?}");
    }
}

#[test]
fn a_file_of_any_kind_is_read_and_a_value_is_set_in_it_or_not() {
    let whole = "A=1\n# c\nexport B='x y' # why\nC=\"a b\"\nD=${A}\nE: 7\nF\n";
    let words = ["${", "}", "'", "\"", "\\", "${A}", "#", "=", "\u{feff}", "\0", "\r", "é"];
    for value in ["new", "it's", "${", "a\nb", "\\"] {
        crate::garble::garbled(whole.as_bytes(), &words, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            parse(&text, &|_| None);
            let Some(new) = set(&text, "A", value) else { return };
            let all = parse(&new, &|_| None);
            let last = all.iter().rfind(|one| one.key == "A").unwrap();
            assert_eq!(last.value.as_deref(), Ok(value), "{text:?}");
        });
    }
}

#[test]
fn every_value_is_set_as_it_is_or_refused() {
    crate::garble::text(|value| {
        let Some(text) = set("# c\nA='old' # why\nB=2\n", "A", value) else { return };
        let read: Vec<_> =
            read(&text).into_iter().map(|(_, key, value)| (key, value.unwrap())).collect();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read, [pair("A", value), pair("B", "2")], "{text:?}");
    });
}

#[test]
fn variables_that_double_take_no_memory_without_bound() {
    let laughs: String = (1..60).map(|n| format!("A{n}=${{A{0}}}${{A{0}}}\n", n - 1)).collect();
    let wide = format!("A0={}\n", "x".repeat(30_000))
        + &(1..3000).map(|n| format!("A{n}=${{A0}}\n")).collect::<String>();
    for text in [format!("A0=ha\n{laughs}"), wide] {
        let all = parse(&text, &|_| None);
        let total: usize = all.iter().flat_map(|one| &one.value).map(String::len).sum();
        assert!(total <= 2 * MOST, "{total}");
        assert!(all.iter().any(|one| one.value == Err(TOO_LARGE)));
    }
}
