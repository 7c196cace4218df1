//! How the two Compose families read a `.env` file.
//!
//! docker-compose 1.x reads it with python-dotenv, Compose v2 with compose-go, and beyond plain
//! values they disagree on quotes, escapes, `$`, comments and on what is an error at all. Both are
//! followed here statement by statement: python-dotenv 0.21 as docker-compose 1.29.2 calls it,
//! compose-go 2.9.1 as in Compose 2.40.3. Older v2 were seen to differ in this only: 2.22 keeps the
//! backslash of `\'` between single quotes, and fails on a value without a name (which a bare name
//! at the very end of the file is to it); 2.29 refuses a name with `-`.
//!
//! `tests/assets/dotenv-cases.txt` holds the cases that prove it, here and on the real programs.

#[cfg(test)]
mod cases;
mod v1;
mod v2;

use std::iter;
use std::ops::Range;

/// What one family makes of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The variable gets this value.
    Value(String),
    /// Nothing is assigned: this family sees no statement here, or has given up on an earlier line.
    Absent,
    /// Why the statement cannot be read: 1.x warns and skips the line, v2 refuses the whole file.
    /// The words quote nothing of the file. v2's own message does, passwords included.
    Problem(&'static str),
}

impl Reading {
    /// The value, if one is assigned.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Problem(_) => None,
        }
    }
}

/// One assignment as both families read it; of several to one key the last counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// From 1.
    pub line: usize,
    /// Empty where the statement has no readable name.
    pub key: String,
    /// By docker-compose 1.x.
    pub v1: Reading,
    /// By Compose v2.
    pub v2: Reading,
}

/// The process environment, which both families use to expand variables (and which overrides the
/// file afterwards).
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads `text` as both families do, in the order of the file.
pub fn parse(text: &str, lookup: Lookup<'_>) -> Vec<Assignment> {
    let mut second = v2::read(text, lookup).into_iter().peekable();
    let mut found = Vec::new();
    for first in v1::read(text, lookup) {
        found.extend(iter::from_fn(|| second.next_if(|s| s.line < first.line)).map(only_v2));
        let same = second.next_if(|s| {
            s.line == first.line && (s.key == first.key || s.failed() || first.failed())
        });
        let (v2, v2_key) = same.map_or((Reading::Absent, String::new()), |s| (s.reading, s.key));
        let key = if first.key.is_empty() { v2_key } else { first.key };
        found.push(Assignment { line: first.line, key, v1: first.reading, v2 });
    }
    found.extend(second.map(only_v2));
    found
}

/// `text` with the value of `key` replaced where it stands (the last time, if it stands there
/// twice), or with a new line at the end. Everything else stays as it is, comments and line ends
/// included. `None` if no spelling of the value is read alike by both families, as for `${`.
pub fn set(text: &str, key: &str, value: &str) -> Option<String> {
    if value.ends_with('\\') {
        return None; // 1.x would take the closing quote for an escaped one
    }
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let place = v1::read(text, &|_| None).into_iter().rfind(|s| s.key == key);
    let (head, tail) =
        match place.and_then(|s| Some((text.get(..s.span.start)?, text.get(s.span.end..)?))) {
            Some((head, tail)) if head.trim_end().ends_with('=') => (head.to_owned(), tail),
            Some((head, tail)) => (format!("{head}="), tail),
            None if text.is_empty() || text.ends_with('\n') => (format!("{text}{key}="), line_end),
            None => (format!("{text}{line_end}{key}="), line_end),
        };
    let single = format!("'{value}'");
    let double = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let spellings =
        if is_plain(value) { vec![value.to_owned(), single] } else { vec![single, double] };
    let reads_back = |new: &String| {
        let wanted = Reading::Value(value.to_owned());
        let all = parse(new, &|_| None);
        let refused = all.iter().any(|a| matches!(a.v2, Reading::Problem(_)));
        let last = all.iter().rfind(|a| a.key == key);
        last.is_some_and(|a| a.v1 == wanted && (a.v2 == wanted || refused))
    };
    spellings.iter().map(|spelling| format!("{head}{spelling}{tail}")).find(reads_back)
}

/// True for values that every parser, a shell's included, reads alike without quotes.
pub fn is_plain(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c))
}

/// One statement as one family reads it; `span` is where the value stands, its quotes included.
struct Statement {
    line: usize,
    key: String,
    span: Range<usize>,
    reading: Reading,
}

impl Statement {
    fn failed(&self) -> bool {
        matches!(self.reading, Reading::Problem(_))
    }
}

fn only_v2(s: Statement) -> Assignment {
    Assignment { line: s.line, key: s.key, v1: Reading::Absent, v2: s.reading }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    /// Both families skip a byte order mark.
    fn new(text: &'t str) -> Self {
        let mut scanner = Self { text, at: 0 };
        scanner.skip('\u{feff}');
        scanner
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn line(&self) -> usize {
        1 + self.text.bytes().take(self.at).filter(|b| *b == b'\n').count()
    }

    fn take(&mut self, length: usize) -> &'t str {
        let taken = self.rest().get(..length).unwrap_or_default();
        self.at += taken.len();
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        self.take(rest.find(|c| !wanted(c)).unwrap_or(rest.len()))
    }

    fn skip(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    /// Skips `export` if a character of `space` follows it.
    fn skip_export(&mut self, space: impl Fn(char) -> bool) {
        if self.rest().strip_prefix("export").is_some_and(|rest| rest.starts_with(space)) {
            self.at += "export".len();
        }
    }
}

/// The character that a letter stands for behind a backslash.
fn control(letter: char) -> char {
    match letter {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::cases::{Case, cases};
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "E").then(|| "env".to_owned())
    }

    /// What a family makes of the whole file, in the table's words: `A=value`, `A` or `!`.
    fn read(file: &str, name: &str, reading: fn(&Assignment) -> &Reading) -> String {
        let all = parse(file, &environment);
        if name == "!" {
            let failed = all.iter().any(|a| matches!(reading(a), Reading::Problem(_)));
            return if failed { "!" } else { "no problem" }.to_owned();
        }
        let mut values = all.iter().filter(|a| a.key == name).filter_map(|a| reading(a).value());
        values.next_back().map_or(name.to_owned(), |value| format!("{name}={value}"))
    }

    #[test]
    fn reads_as_the_table_says() {
        let mut checked = 0;
        for Case { text, file, expected } in cases() {
            for (who, expected) in expected {
                let name = expected.split('=').next().unwrap_or_default();
                if matches!(who, "1" | "*") {
                    assert_eq!(read(&file, name, |a| &a.v1), expected, "1.x: {text}");
                    checked += 1;
                }
                if matches!(who, "2" | "*") {
                    assert_eq!(read(&file, name, |a| &a.v2), expected, "v2: {text}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 200, "only {checked} readings were found in the table");
    }

    #[test]
    fn pairs_what_the_families_read_in_one_place() {
        fn show(reading: Reading) -> String {
            match reading {
                Reading::Value(value) => value,
                Reading::Absent => "-".to_owned(),
                Reading::Problem(_) => "!".to_owned(),
            }
        }
        for (text, expected) in [
            ("A=1\n\n# c\nB=a$X\n", "1 A:1:1, 4 B:a$X:a"),
            ("A: 1\nB=2\n", "1 A:!:1, 2 B:2:2"),
            ("A='x\ny'\nB=2\n", "1 A:x\ny:x\ny, 3 B:2:2"),
            ("A=\"x\" B=2\nC=3\n", "1 A:!:x, 1 B:-:2, 2 C:3:3"),
            ("A B=1\nC=3\n", "1 :!:!, 2 C:3:-"),
        ] {
            let one = |a: Assignment| format!("{} {}:{}:{}", a.line, a.key, show(a.v1), show(a.v2));
            let all: Vec<String> = parse(text, &|_| None).into_iter().map(one).collect();
            assert_eq!(all.join(", "), expected, "{text:?}");
        }
    }

    #[test]
    fn sets_one_value_and_touches_nothing_else() {
        for (before, after) in [
            ("", "A=new\n"),
            ("B=1", "B=1\nA=new\n"),
            ("B=1\r\n", "B=1\r\nA=new\r\n"),
            ("A=\nB=2\n", "A=new\nB=2\n"),
            ("A=old # why\r\nB=2\r\n", "A=new # why\r\nB=2\r\n"),
            ("export A = 'o\nld' # why\nB=2", "export A = new # why\nB=2"),
            ("A=old\t# why\n", "A='new'\t# why\n"),
            ("A=1\nA=2\nB=3\n", "A=1\nA=new\nB=3\n"),
            ("# A=1\nAA=2\n  A=3\n", "# A=1\nAA=2\n  A=new\n"),
            ("A\nB=2\n", "A=new\nB=2\n"),
            ("\u{feff}A=1\n", "\u{feff}A=new\n"),
            ("A: 1\n", "A: 1\nA=new\n"),
            ("A=1\nB='broken\n", "A=new\nB='broken\n"),
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
            (r#"a$b#"c\d"#, Some("A='a$b#\"c\\d'\n")),
            ("it's", Some("A=\"it's\"\n")),
            (r#"it's "a\b""#, Some("A=\"it's \\\"a\\\\b\\\"\"\n")),
            ("two\nlines", Some("A='two\nlines'\n")),
            ("${B}", None),
            ("it's $5", Some("A=\"it's $5\"\n")),
            ("it's $x", None),
            (r"it's\", None),
        ] {
            assert_eq!(set("", "A", value).as_deref(), spelled, "{value:?}");
            assert_eq!(is_plain(value), matches!(value, "" | "/srv/data"), "{value:?}");
        }
    }
}
