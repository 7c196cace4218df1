//! `.env` files, as far as every Compose reads them alike.
//!
//! docker-compose 1.x reads them with python-dotenv and Compose v2 with compose-go, which disagree
//! on backslashes, most dollars, tabs before comments, values over several lines, and on what is an
//! error. What they agree on is enough for every value that a service takes; a line beyond that is
//! reported and never guessed at. A test puts this grammar before real Composes.

use std::iter::Peekable;
use std::str::CharIndices;

/// Why a line is beyond what every Compose reads alike. Quotes nothing of the file, which may hold
/// passwords.
pub type Why = &'static str;

/// One assignment; of several to one key the last counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// From 1.
    pub line: usize,
    /// Empty where the line has no readable name.
    pub key: String,
    /// The value that every Compose reads, or why there is no such value.
    pub value: Result<String, Why>,
}

/// The process environment, which Composes use to expand variables.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads `text` line by line.
pub fn parse(text: &str, lookup: Lookup<'_>) -> Vec<Assignment> {
    let mut found: Vec<Assignment> = Vec::new();
    let mut total = 0;
    for (index, line) in lines(text).enumerate() {
        let line = line.trim_matches(BLANK);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match split(line) {
            Ok((key, _)) if total > MOST => (key, Err(TOO_LARGE)),
            Ok((key, spelling)) => (key, value(spelling, &found, lookup)),
            Err(why) => ("", Err(why)),
        };
        total += value.as_ref().map_or(0, String::len);
        found.push(Assignment { line: index + 1, key: key.to_owned(), value });
    }
    found
}

/// `text` with the value of `key` replaced where it stands (the last time, if it stands there
/// twice), or with a new line at the end. Everything else stays as it is, comments and line ends
/// included. `None` if no spelling of the value is read alike by every Compose, as for `${`.
pub fn set(text: &str, key: &str, value: &str) -> Option<String> {
    let spelling = spell(value)?;
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_its = |line: &&str| split(content(line)).is_ok_and(|(name, _)| name == key);
    let Some(at) = lines.iter().rposition(is_its) else {
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { line_end };
        return Some(format!("{text}{gap}{key}={spelling}{line_end}"));
    };
    let line = lines[at];
    let (before, old) = line.split_at(line.find('=')? + 1);
    let blank = old.len() - old.trim_start_matches(BLANK).len();
    let behind = &old[blank + spelled(content(&old[blank..]))..];
    let before = &line[..before.len() + blank];
    let changed = format!("{before}{spelling}{behind}");
    lines[at] = &changed;
    Some(lines.concat())
}

/// True for values that every parser, a shell's included, reads alike without quotes.
pub fn is_plain(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c))
}

/// How `value` is written so that every Compose reads it alike.
fn spell(value: &str) -> Option<String> {
    let single = format!("'{value}'");
    let double = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let spellings =
        if is_plain(value) { vec![value.to_owned(), single] } else { vec![single, double] };
    let reads_back =
        |spelling: &String| self::value(spelling, &[], &|_| None).is_ok_and(|read| read == value);
    spellings.into_iter().find(reads_back)
}

/// Bytes of one value whose variables were replaced, and of all values, at most.
const LARGEST: usize = 64 << 10;
const MOST: usize = 1 << 20;

const BLANK: [char; 2] = [' ', '\t'];

const LINE_BREAK: Why = "a line break within a line";
const NO_NAME: Why = "it is not NAME=value";
const BACKSLASH: Why = "Composes read backslashes differently";
const DOLLAR: Why = "Composes read this use of `$` differently";
const OPEN_QUOTE: Why = "the quote is not closed on its line";
const BEHIND_QUOTE: Why = "Composes read what follows the closing quote differently";
const TOO_LARGE: Why = "it is more text than anybody would write";
const ODD_BLANK: Why = "Composes read this kind of white space differently";

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').map(content)
}

/// A line without its end.
fn content(line: &str) -> &str {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Name and spelling of the value, which is a part of `line`.
fn split(line: &str) -> Result<(&str, &str), Why> {
    let line = line.trim_start_matches(BLANK);
    let rest = line.strip_prefix("export").filter(|rest| rest.starts_with(BLANK));
    let (key, spelling) = rest.unwrap_or(line).split_once('=').ok_or(NO_NAME)?;
    let key = key.trim_matches(BLANK);
    let is_name = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if is_name { Ok((key, spelling.trim_matches(BLANK))) } else { Err(NO_NAME) }
}

/// How many bytes of `text` spell the value; a comment may follow.
fn spelled(text: &str) -> usize {
    match text.chars().next() {
        Some(quote @ ('\'' | '"')) => closing(text, quote).map_or(text.len(), |at| at + 1),
        _ => text.find(" #").map_or(text, |at| &text[..at]).trim_end_matches(BLANK).len(),
    }
}

/// Where the quote that begins `text` is closed.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = true; // the opening one
    text.char_indices().find_map(|(at, c)| {
        let found = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        found.then_some(at)
    })
}

/// The value that `text` spells, behind `earlier` assignments.
fn value(text: &str, earlier: &[Assignment], lookup: Lookup<'_>) -> Result<String, Why> {
    if text.contains(['\r', '\n']) {
        return Err(LINE_BREAK);
    }
    match text.chars().next() {
        Some('\'') => {
            let inside = quoted(text, '\'')?;
            if inside.contains('\\') {
                return Err(BACKSLASH);
            }
            if inside.contains("${") { Err(DOLLAR) } else { Ok(inside.to_owned()) }
        }
        Some('"') => {
            let inside = quoted(text, '"')?;
            // To one the closing quote is then an escaped one.
            if inside.ends_with('\\') {
                Err(BACKSLASH)
            } else {
                expand(inside, true, earlier, lookup)
            }
        }
        _ => {
            let plain = &text[..spelled(text)];
            // What may be a comment to one and not to the other, or trimmed by one alone.
            if text.contains("\t#")
                || plain.contains(|c: char| c.is_whitespace() && c != ' ' && c != '\t')
            {
                return Err(ODD_BLANK);
            }
            expand(plain, false, earlier, lookup)
        }
    }
}

/// Between the quotes that begin `text`.
fn quoted(text: &str, quote: char) -> Result<&str, Why> {
    let end = closing(text, quote).ok_or(OPEN_QUOTE)?;
    let behind = text[end + 1..].trim_start_matches(BLANK);
    if behind.is_empty() || behind.starts_with('#') { Ok(&text[1..end]) } else { Err(BEHIND_QUOTE) }
}

/// With escapes and `${NAME}` replaced.
fn expand(
    text: &str,
    in_quotes: bool,
    earlier: &[Assignment],
    lookup: Lookup<'_>,
) -> Result<String, Why> {
    let mut value = String::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match (c, rest.peek().map(|(_, next)| *next)) {
            ('\\', Some(next @ ('\\' | '"'))) if in_quotes => {
                value.push(next);
                rest.next();
            }
            ('\\', _) => return Err(BACKSLASH),
            ('$', Some('{')) => {
                value.push_str(&variable(&text[at..], &mut rest, earlier, lookup)?);
                if value.len() > LARGEST {
                    return Err(TOO_LARGE);
                }
            }
            ('$', Some(next)) if next == '$' || next == '_' || next.is_alphabetic() => {
                return Err(DOLLAR);
            }
            _ => value.push(c),
        }
    }
    Ok(value)
}

/// The value of the `${NAME}` that begins `text`, of which `rest` is read on to its end.
fn variable(
    text: &str,
    rest: &mut Peekable<CharIndices<'_>>,
    earlier: &[Assignment],
    lookup: Lookup<'_>,
) -> Result<String, Why> {
    let name = &text[2..text.find('}').ok_or(DOLLAR)?];
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(DOLLAR);
    }
    rest.nth(name.len() + 1);
    let in_file = earlier.iter().rfind(|assignment| assignment.key == name);
    match (lookup(name), in_file.map(|assignment| assignment.value.clone())) {
        // One takes the file's, the other the environment's.
        (Some(environment), Some(file)) if file.as_ref() != Ok(&environment) => Err(DOLLAR),
        (Some(value), _) => Ok(value),
        (None, Some(value)) => value,
        (None, None) => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
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
            (r"A='it\'s'", BACKSLASH),
            ("A=a$b", DOLLAR),
            ("A=a$$b", DOLLAR),
            ("A='${E}'", DOLLAR),
            ("A=${X:-d}", DOLLAR),
            ("A=${E", DOLLAR),
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
}
