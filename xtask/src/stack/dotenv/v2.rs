//! Compose v2, which reads the file with compose-go.
//!
//! It reads the file a second time on top of what it found. That is not followed here: only a
//! `${NAME:?…}` above an emptied `NAME=` can tell.

use std::collections::HashMap;

use super::{Lookup, Reading, Scanner, Statement, control};

/// White space that does not end the line.
fn blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

pub(super) fn read(text: &str, lookup: Lookup<'_>) -> Vec<Statement> {
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
        match statement(&mut scanner, &get) {
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

fn statement<'t>(
    scanner: &mut Scanner<'t>,
    get: Lookup<'_>,
) -> Result<(&'t str, Option<String>), &'static str> {
    scanner.skip_export(|c| matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' '));
    scanner.take_while(blank);
    let name = scanner.take_while(|c| blank(c) || c.is_alphanumeric() || "_.-[]".contains(c));
    let key = name.trim_end();
    match scanner.peek() {
        // compose-go takes a bare name at the very end for the value of a variable without a name.
        None => return Ok((key, None)),
        Some('=' | ':' | '\n') if key.contains(' ') => return Err("a space in the name"),
        Some('\n') => return Ok((key, get(key))),
        Some('=' | ':') => scanner.take(1),
        Some(_) => return Err("a character that no name may have"),
    };
    scanner.take_while(blank);
    let value = match scanner.peek() {
        Some('\'') => quoted(scanner, '\'')?,
        Some('"') => expand(&unescape(&quoted(scanner, '"')?), get)?,
        _ => {
            let line = scanner.take_while(|c| c != '\n');
            let value = line.split_once(" #").map_or(line, |(value, _)| value);
            expand(value.trim_end(), get)?
        }
    };
    Ok((key, Some(value)))
}

/// The text between quotes, with the backslash taken from every escaped quote.
fn quoted(scanner: &mut Scanner<'_>, quote: char) -> Result<String, &'static str> {
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

/// The escapes between double quotes: letters, `\0` with three octal digits (without them only the
/// 0 goes), and `\$`, which becomes `$$`.
fn unescape(text: &str) -> String {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        value.push_str(before);
        let mut chars = after.chars();
        match chars.next() {
            Some('$') => value.push_str("$$"),
            Some(c) if "abfnrtv\"\\".contains(c) => value.push(control(c)),
            Some('0') => {
                match chars.as_str().split_at_checked(3).filter(|(code, _)| is_octal(code)) {
                    Some((code, tail)) => {
                        value.extend(u8::from_str_radix(code, 8).map(char::from));
                        chars = tail.chars();
                    }
                    None => value.push('\\'),
                }
            }
            _ => {
                value.push('\\');
                chars = after.chars();
            }
        }
        rest = chars.as_str();
    }
    value + rest
}

fn is_octal(code: &str) -> bool {
    code <= "377" && code.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
}

/// Expands `$NAME`, `${NAME}` and `${NAME<operator>word}`, where words may nest; `$$` is a dollar.
fn expand(text: &str, get: Lookup<'_>) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        value.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            value.push('$');
            rest = tail;
        } else if after.starts_with('{') {
            let (expanded, tail) = braces(after, get)?;
            value.push_str(&expanded);
            rest = tail;
        } else {
            let (name, tail) = name(after);
            if name.is_empty() {
                value.push('$');
            } else {
                value.push_str(&get(name).unwrap_or_default());
            }
            rest = tail;
        }
    }
    Ok(value + rest)
}

fn name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let end = if text.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { end };
    text.split_at_checked(end).unwrap_or(("", text))
}

/// The value of the `{…}` that `text` begins with, and what comes behind it.
fn braces<'t>(text: &'t str, get: Lookup<'_>) -> Result<(String, &'t str), &'static str> {
    const INVALID: &str = "a `${` that begins no valid expression";
    let (name, after) = name(text.get(1..).unwrap_or_default());
    if name.is_empty() {
        return Err(INVALID);
    }
    if let Some(tail) = after.strip_prefix('}') {
        return Ok((get(name).unwrap_or_default(), tail));
    }
    let (if_filled, after) = after.strip_prefix(':').map_or((false, after), |after| (true, after));
    let operator = after.chars().next().filter(|c| "-+?".contains(*c)).ok_or(INVALID)?;
    // It reaches to the brace that closes it; if none does, to the last one on the line.
    let start = text.len() - after.len() + 1;
    let line = text.split('\n').next().unwrap_or_default();
    let last = line.rfind('}').filter(|last| *last >= start).ok_or(INVALID)?;
    let end = closing_brace(line.get(..=last).unwrap_or_default()).unwrap_or(last);
    let word = expand(text.get(start..end).unwrap_or_default(), get)?;
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
