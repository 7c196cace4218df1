//! docker-compose 1.x, which reads the file with python-dotenv.

use std::collections::HashMap;
use std::ops::Range;

use super::{Lookup, Reading, Scanner, Statement, control};

fn is_line_end(c: char) -> bool {
    c == '\r' || c == '\n'
}

/// What Python's `\s` matches.
fn space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn blank(c: char) -> bool {
    space(c) && !is_line_end(c)
}

pub(super) fn read(text: &str, lookup: Lookup<'_>) -> Vec<Statement> {
    let mut scanner = Scanner::new(text);
    let mut known = HashMap::new();
    let mut found = Vec::new();
    loop {
        scanner.take_while(space);
        if scanner.peek().is_none() {
            return found;
        }
        scanner.skip_export(blank);
        scanner.take_while(blank);
        let line = scanner.line();
        if scanner.peek() == Some('#') {
            scanner.take_while(|c| !is_line_end(c));
            continue;
        }
        found.push(match statement(&mut scanner) {
            Ok((key, span, raw)) => {
                // Here an earlier line of the file goes before the process environment.
                let value = expand(&raw, &|name| known.get(name).cloned().or_else(|| lookup(name)));
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

fn statement<'t>(
    scanner: &mut Scanner<'t>,
) -> Result<(&'t str, Range<usize>, String), &'static str> {
    let key = match scanner.peek() {
        Some('\'') => quoted_key(scanner)?,
        _ => scanner.take_while(|c| c != '=' && c != '#' && !space(c)),
    };
    if key.is_empty() {
        return Err("no name before the value");
    }
    let mut start = scanner.at;
    let mut end = start;
    let mut value = String::new(); // that of a name alone, too
    scanner.take_while(blank);
    if scanner.skip('=') {
        scanner.take_while(blank);
        start = scanner.at;
        value = match scanner.peek() {
            Some('\'') => unescape(quoted(scanner, '\'')?, "\\'"),
            Some('"') => unescape(quoted(scanner, '"')?, "\\'\"abfnrtv"),
            _ => unquoted(scanner).to_owned(),
        };
        end = scanner.at;
        scanner.take_while(blank);
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
fn unquoted<'t>(scanner: &mut Scanner<'t>) -> &'t str {
    let rest = scanner.rest();
    let line = rest.split(is_line_end).next().unwrap_or_default();
    let comment = line.match_indices('#').map(|(at, _)| line.get(..at).unwrap_or_default());
    let value = comment.into_iter().find(|before| before.ends_with(space)).unwrap_or(line);
    scanner.take(value.trim_end_matches(space).len())
}

fn quoted_key<'t>(scanner: &mut Scanner<'t>) -> Result<&'t str, &'static str> {
    let body = scanner.rest().get(1..).unwrap_or_default();
    let (key, _) = body.split_once('\'').ok_or("a quote without its end")?;
    scanner.take(key.len() + 2);
    Ok(key)
}

/// The text between quotes. A quote behind a backslash does not end it, unless no other one is left
/// in the file.
fn quoted<'t>(scanner: &mut Scanner<'t>, quote: char) -> Result<&'t str, &'static str> {
    let body = scanner.rest().get(1..).unwrap_or_default();
    let escaped = |at: &usize| body.get(..*at).is_some_and(|before| before.ends_with('\\'));
    let mut quotes = body.match_indices(quote).map(|(at, _)| at);
    let end = quotes.clone().find(|at| !escaped(at)).or_else(|| quotes.next_back());
    let length = end.ok_or("a quote without its end")?;
    scanner.take(length + 2);
    Ok(body.get(..length).unwrap_or_default())
}

/// Replaces a backslash with one of `known` behind it. Line ends are `\n` as Python reads the file.
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

/// Expands `${NAME}` and `${NAME:-default}`, between single quotes too; every other `$` stays.
fn expand(text: &str, get: Lookup<'_>) -> String {
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
