//! How the two Compose families read a `.env` file.
//!
//! docker-compose 1.x reads it with python-dotenv, Compose v2 with compose-go, and beyond plain values they
//! disagree on quotes, escapes, `$`, comments and what is an error at all. Both are followed here statement by
//! statement: python-dotenv 0.21 as docker-compose 1.29.2 calls it, compose-go 2.9.1 as in Compose 2.40.3.
//! Older v2 differ, as far as is known, in this only: 2.22 (compose-go 1.19) keeps the backslash of `\'` between
//! single quotes, ends `${A:-{x}}` at the first brace and fails on a last line that is a bare name without a line
//! break; 2.29 (compose-go 2.2.0) refuses a name with `-`.
//!
//! `tests/assets/dotenv-cases.txt` holds the cases that prove it, here and on the real programs.

use std::collections::HashMap;
use std::iter;
use std::ops::Range;

/// What one family makes of an assignment. No text in it ever comes from the value's neighbourhood: it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The variable gets this value.
    Value(String),
    /// Nothing is assigned: this family sees no statement here, or has given the file up on an earlier line.
    Absent,
    /// Why the statement cannot be read. 1.x warns and skips the line, v2 refuses the whole file.
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
    pub line: usize,
    /// Empty where the statement has no readable name.
    pub key: String,
    pub v1: Reading,
    pub v2: Reading,
}

/// The process environment, which both families use to expand variables (and which overrides the file afterwards).
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads `text` as both families do, in the order of the file.
pub fn parse(text: &str, lookup: Lookup<'_>) -> Vec<Assignment> {
    let mut second = read_v2(text, lookup).into_iter().peekable();
    let mut found = Vec::new();
    for first in read_v1(text, lookup) {
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

/// `text` with the value of `key` replaced where it stands (the last time, if it stands there twice), or with a new
/// line at the end. Everything else stays as it is, comments and line ends included. `None` if there is no spelling
/// of the value that both families read alike, as for `${`.
pub fn set(text: &str, key: &str, value: &str) -> Option<String> {
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let place = read_v1(text, &|_| None).into_iter().rfind(|s| s.key == key);
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

// --- The scanner that both readers share ---

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

// --- docker-compose 1.x: python-dotenv ---

fn is_line_end(c: char) -> bool {
    c == '\r' || c == '\n'
}

/// What Python's `\s` matches.
fn v1_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn v1_blank(c: char) -> bool {
    v1_space(c) && !is_line_end(c)
}

fn read_v1(text: &str, lookup: Lookup<'_>) -> Vec<Statement> {
    let mut scanner = Scanner::new(text);
    let mut known = HashMap::new();
    let mut found = Vec::new();
    loop {
        scanner.take_while(v1_space);
        if scanner.peek().is_none() {
            return found;
        }
        scanner.skip_export(v1_blank);
        scanner.take_while(v1_blank);
        let line = scanner.line();
        if scanner.peek() == Some('#') {
            scanner.take_while(|c| !is_line_end(c));
            continue;
        }
        found.push(match v1_statement(&mut scanner) {
            Ok((key, span, raw)) => {
                // Here an earlier line of the file goes before the process environment.
                let value =
                    v1_expand(&raw, &|name| known.get(name).cloned().or_else(|| lookup(name)));
                known.insert(key.to_owned(), value.clone());
                Statement { line, key: key.to_owned(), span, reading: Reading::Value(value) }
            }
            Err(why) => {
                scanner.take_while(|c| !is_line_end(c));
                Statement { line, key: String::new(), span: 0..0, reading: Reading::Problem(why) }
            }
        });
    }
}

fn v1_statement<'t>(
    scanner: &mut Scanner<'t>,
) -> Result<(&'t str, Range<usize>, String), &'static str> {
    let key = match scanner.peek() {
        Some('\'') => v1_quoted_key(scanner)?,
        _ => scanner.take_while(|c| c != '=' && c != '#' && !v1_space(c)),
    };
    if key.is_empty() {
        return Err("no name before the value");
    }
    let mut start = scanner.at;
    let mut value = String::new(); // also that of a name alone
    scanner.take_while(v1_blank);
    let mut end = start;
    if scanner.skip('=') {
        scanner.take_while(v1_blank);
        start = scanner.at;
        value = match scanner.peek() {
            Some('\'') => unescape(v1_quoted(scanner, '\'')?, "\\'"),
            Some('"') => unescape(v1_quoted(scanner, '"')?, "\\'\"abfnrtv"),
            _ => v1_unquoted(scanner).to_owned(),
        };
        end = scanner.at;
        scanner.take_while(v1_blank);
    }
    if scanner.peek() == Some('#') {
        scanner.take_while(|c| !is_line_end(c));
    }
    if scanner.peek().is_none_or(is_line_end) {
        Ok((key, start..end, value))
    } else {
        Err("text after the value")
    }
}

/// Up to white space with a `#` behind it, of whatever kind, or the end of the line.
fn v1_unquoted<'t>(scanner: &mut Scanner<'t>) -> &'t str {
    let rest = scanner.rest();
    let line = rest.split(is_line_end).next().unwrap_or_default();
    let comment = line.match_indices('#').map(|(at, _)| line.get(..at).unwrap_or_default());
    let value = comment.into_iter().find(|before| before.ends_with(v1_space)).unwrap_or(line);
    scanner.take(value.trim_end_matches(v1_space).len())
}

fn v1_quoted_key<'t>(scanner: &mut Scanner<'t>) -> Result<&'t str, &'static str> {
    let (key, _) = scanner
        .rest()
        .get(1..)
        .unwrap_or_default()
        .split_once('\'')
        .ok_or("a quote without its end")?;
    scanner.take(key.len() + 2);
    Ok(key)
}

/// The text between quotes. A quote behind a backslash does not end it, unless no other one is left in the file.
fn v1_quoted<'t>(scanner: &mut Scanner<'t>, quote: char) -> Result<&'t str, &'static str> {
    let body = scanner.rest().get(1..).unwrap_or_default();
    let escaped = |at: &usize| body.get(..*at).is_some_and(|before| before.ends_with('\\'));
    let mut quotes = body.match_indices(quote).map(|(at, _)| at);
    let end = quotes.clone().find(|at| !escaped(at)).or_else(|| quotes.next_back());
    let length = end.ok_or("a quote without its end")?;
    scanner.take(length + 2);
    Ok(body.get(..length).unwrap_or_default())
}

/// Replaces a backslash and one of `known` behind it; line ends have become `\n` as Python reads the file.
fn unescape(text: &str, known: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut value = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next_if(|next| known.contains(*next)) } else { None };
        value.push(next.map_or(c, control));
    }
    value
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

/// Expands `${NAME}` and `${NAME:-default}`, between single quotes too; every other `$` stays.
fn v1_expand(text: &str, get: Lookup<'_>) -> String {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        value.push_str(before);
        let variable =
            after.split_once('}').and_then(|(inner, tail)| match inner.split_once(':') {
                None => Some((inner, "", tail)),
                Some((name, default)) => Some((name, default.strip_prefix('-')?, tail)),
            });
        if let Some((name, default, tail)) = variable {
            value.push_str(&get(name).unwrap_or_else(|| default.to_owned()));
            rest = tail;
        } else {
            value.push_str("${");
            rest = after;
        }
    }
    value + rest
}

// --- Compose v2: compose-go ---

/// White space that does not end the line.
fn v2_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

fn read_v2(text: &str, lookup: Lookup<'_>) -> Vec<Statement> {
    let mut scanner = Scanner::new(text);
    let mut known = HashMap::new();
    let mut found = Vec::new();
    loop {
        scanner.take_while(char::is_whitespace);
        if scanner.peek().is_none() {
            return found;
        }
        if scanner.peek() == Some('#') {
            scanner.take_while(|c| c != '\n');
            continue;
        }
        let line = scanner.line();
        // Here the process environment goes before earlier lines of the file.
        let get = |name: &str| lookup(name).or_else(|| known.get(name).cloned());
        match v2_statement(&mut scanner, &get) {
            Ok((key, value)) => {
                known.extend(value.clone().map(|value| (key.to_owned(), value)));
                let reading = value.map_or(Reading::Absent, Reading::Value);
                found.push(Statement { line, key: key.to_owned(), span: 0..0, reading });
            }
            Err(why) => {
                found.push(Statement {
                    line,
                    key: String::new(),
                    span: 0..0,
                    reading: Reading::Problem(why),
                });
                return found;
            }
        }
    }
}

fn v2_statement<'t>(
    scanner: &mut Scanner<'t>,
    get: Lookup<'_>,
) -> Result<(&'t str, Option<String>), &'static str> {
    scanner.skip_export(|c| matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' '));
    scanner.take_while(v2_blank);
    let name = scanner.take_while(|c| v2_blank(c) || c.is_alphanumeric() || "_.-[]".contains(c));
    let key = name.trim_end();
    match scanner.peek() {
        // compose-go takes a bare name at the very end for the value of a variable without a name.
        None => return Ok((key, None)),
        Some('=' | ':' | '\n') if key.contains(' ') => return Err("a space in the name"),
        Some('\n') => return Ok((key, get(key))),
        Some('=' | ':') => scanner.take(1),
        Some(_) => return Err("a character that no name may have"),
    };
    scanner.take_while(v2_blank);
    let value = match scanner.peek() {
        Some('\'') => v2_quoted(scanner, '\'')?,
        Some('"') => v2_expand(&v2_unescape(&v2_quoted(scanner, '"')?), get)?,
        _ => {
            let line = scanner.take_while(|c| c != '\n');
            let value = line.split_once(" #").map_or(line, |(value, _)| value);
            v2_expand(value.trim_end(), get)?
        }
    };
    Ok((key, Some(value)))
}

/// The text between quotes, with the backslash taken from every escaped quote.
fn v2_quoted(scanner: &mut Scanner<'_>, quote: char) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in scanner.rest().char_indices().skip(1) {
        match c {
            _ if c == quote && !escaped => {
                scanner.take(at + 1);
                return Ok(value);
            }
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            _ if escaped && c != quote => value.push('\\'),
            _ => {}
        }
        escaped = false;
        value.push(c);
    }
    Err("a quote without its end")
}

/// The escapes between double quotes: letters, `\0` with three octal digits (or else without the 0), and
/// `\$`, which becomes `$$`.
fn v2_unescape(text: &str) -> String {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        value.push_str(before);
        let mut chars = after.chars();
        let octal = || u8::from_str_radix(after.strip_prefix('0')?.get(..3)?, 8).ok();
        match chars.next() {
            Some('$') => value.push_str("$$"),
            Some(c) if "abfnrtv\"\\".contains(c) => value.push(control(c)),
            Some('0') => match octal() {
                Some(byte) => {
                    value.push(char::from(byte));
                    chars = after.get(4..).unwrap_or_default().chars();
                }
                None => value.push('\\'),
            },
            _ => {
                value.push('\\');
                chars = after.chars();
            }
        }
        rest = chars.as_str();
    }
    value + rest
}

/// Expands `$NAME`, `${NAME}` and `${NAME<operator>word}` with words that may nest; `$$` is a dollar.
fn v2_expand(text: &str, get: Lookup<'_>) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        value.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            value.push('$');
            rest = tail;
        } else if after.starts_with('{') {
            let (expanded, tail) = v2_braces(after, get)?;
            value.push_str(&expanded);
            rest = tail;
        } else {
            let (name, tail) = v2_name(after);
            value.push_str(&if name.is_empty() {
                "$".to_owned()
            } else {
                get(name).unwrap_or_default()
            });
            rest = tail;
        }
    }
    Ok(value + rest)
}

fn v2_name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let end = if text.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { end };
    text.split_at_checked(end).unwrap_or(("", text))
}

/// The value of the `{…}` that `text` begins with, and what comes behind it.
fn v2_braces<'t>(text: &'t str, get: Lookup<'_>) -> Result<(String, &'t str), &'static str> {
    const INVALID: &str = "a `${` that begins no valid expression";
    let (name, after) = v2_name(text.get(1..).unwrap_or_default());
    if name.is_empty() {
        return Err(INVALID);
    }
    if let Some(tail) = after.strip_prefix('}') {
        return Ok((get(name).unwrap_or_default(), tail));
    }
    let (if_filled, after) = after.strip_prefix(':').map_or((false, after), |after| (true, after));
    let operator = after.chars().next().filter(|c| "-+?".contains(*c)).ok_or(INVALID)?;
    // The expression reaches to the brace that closes it; if none does, to the last one on the line.
    let start = text.len() - after.len() + 1;
    let line = text.split('\n').next().unwrap_or_default();
    let last = line.rfind('}').filter(|last| *last >= start).ok_or(INVALID)?;
    let end = closing_brace(line.get(..=last).unwrap_or_default()).unwrap_or(last);
    let word = v2_expand(text.get(start..end).unwrap_or_default(), get)?;
    let found = get(name);
    let present = found.as_ref().is_some_and(|value| !if_filled || !value.is_empty());
    let value = match operator {
        '-' if !present => word,
        '+' if present => word,
        '?' if !present => return Err("a `${NAME:?…}` whose variable is missing"),
        _ => found.unwrap_or_default(),
    };
    Ok((value, text.get(end + 1..).unwrap_or_default()))
}

/// compose-go counts every brace and never looks at the character behind an opening one.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'{' => {
                open += 1;
                bytes.next();
            }
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}
