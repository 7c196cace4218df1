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
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_its = |line: &&str| split(content(line)).is_ok_and(|(name, _)| name == key);
    let Some(at) = lines.iter().rposition(is_its) else {
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { line_end };
        let line = spelled_between(&format!("{key}="), value, line_end)?;
        return Some(format!("{text}{gap}{line}"));
    };
    let line = lines[at];
    let (before, old) = line.split_at(line.find('=')? + 1);
    let blank = old.len() - old.trim_start_matches(BLANK).len();
    let behind = &old[blank + spelled(without_end(&old[blank..]))..];
    let changed = spelled_between(&line[..before.len() + blank], value, behind)?;
    lines[at] = &changed;
    Some(lines.concat())
}

/// True for values that every parser, a shell's included, reads alike without quotes.
pub fn is_plain(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c))
}

/// `value` between what stands `before` and `behind` it on its line, spelled so that every Compose
/// reads it alike: an empty one without quotes would have the comment behind it for its value.
fn spelled_between(before: &str, value: &str, behind: &str) -> Option<String> {
    let single = format!("'{value}'");
    let double = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let spellings =
        if is_plain(value) { vec![value.to_owned(), single] } else { vec![single, double] };
    let reads_back = |line: &String| {
        let read = split(content(line)).and_then(|(_, text)| self::value(text, &[], &|_| None));
        read.is_ok_and(|read| read == value)
    };
    let mut lines = spellings.iter().map(|spelling| format!("{before}{spelling}{behind}"));
    lines.find(reads_back)
}

/// Bytes of one value whose variables were replaced, and of all values, at most (`TOO_LARGE` says it).
const LARGEST: usize = 64 << 10;
const MOST: usize = 1 << 20;

const BLANK: [char; 2] = [' ', '\t'];

const LINE_BREAK: Why = "a line break within a line";
const NO_NAME: Why = "it is not NAME=value";
const BACKSLASH: Why = "Composes read backslashes differently";
const DOLLAR: Why = "Composes read this use of `$` differently";
const TEMPLATE: Why = "Composes read this use of `${` differently, or refuse it";
const OPEN_QUOTE: Why = "the quote is not closed on its line";
const QUOTE_END: Why = "Composes disagree on where the quote is closed";
const BEHIND_QUOTE: Why = "Composes read what follows the closing quote differently";
const TOO_LARGE: Why = "its value is longer than 64 KiB, or all values together than 1 MiB";
const ODD_BLANK: Why = "Composes read this kind of white space differently";

/// From how many lines on, its own included, Composes may read other assignments than we do.
pub fn lines_in_doubt(why: Why) -> usize {
    match why {
        OPEN_QUOTE | QUOTE_END | BEHIND_QUOTE => usize::MAX,
        LINE_BREAK | NO_NAME => 1,
        _ => 0,
    }
}

/// Whether nothing but the line's own value is unclear, so that a later line of the same name
/// settles it. For a bad `${` some Composes refuse the whole file.
pub fn is_settled_later(why: Why) -> bool {
    why != TEMPLATE && lines_in_doubt(why) == 0
}

/// Whether a Compose may take a part of the value for a variable, and read another value than the
/// one that is written.
pub fn is_about_dollars(why: Why) -> bool {
    [DOLLAR, TEMPLATE].contains(&why)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').map(content)
}

/// A line without its end.
fn content(line: &str) -> &str {
    without_end(line.strip_prefix('\u{feff}').unwrap_or(line))
}

fn without_end(line: &str) -> &str {
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
            if inside.ends_with('\\') || inside.contains("\\'") {
                return Err(QUOTE_END);
            }
            if inside.contains('\\') {
                return Err(BACKSLASH);
            }
            if inside.contains("${") { Err(DOLLAR) } else { Ok(inside.to_owned()) }
        }
        Some('"') => {
            let inside = quoted(text, '"')?;
            // To one the closing quote is then an escaped one.
            if inside.ends_with('\\') {
                Err(QUOTE_END)
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
    let name = &text[2..text.find('}').ok_or(TEMPLATE)?];
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(TEMPLATE);
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
mod tests;
