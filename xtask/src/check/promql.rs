//! What a PromQL expression names and what it compares with. No more of the language than that:
//! promtool judges it.

use std::collections::BTreeSet;

/// A comparison with a constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::check) struct Limit {
    /// `>`, `<=`, `==`, …
    pub operator: &'static str,
    /// What stands right of it, computed.
    pub value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Number(f64),
    Sign(&'a str),
    /// A string, a range, label matchers, a duration, a variable of Grafana.
    Other,
}

/// Words that are followed by a list of labels.
const LABEL_LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are no metric though no parenthesis follows.
const KEYWORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">=", "<=", ">", "<"];

/// The metrics that `expression` reads.
pub fn metrics(expression: &str) -> BTreeSet<&str> {
    let tokens = tokens(expression);
    let mut found = BTreeSet::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let next = tokens.get(index + 1);
        if let Token::Word(word) = token {
            let lower = word.to_ascii_lowercase();
            let called = next == Some(&Token::Sign("("));
            // `sum by (job) (…)`: the parenthesis of the function comes later.
            let groups = matches!(next, Some(Token::Word("by" | "without")));
            if LABEL_LISTS.contains(&lower.as_str()) {
                let list = tokens[index..].iter().take_while(|token| **token != Token::Sign(")"));
                index += if called { list.count() } else { 0 };
            } else if !called && !groups && !KEYWORDS.contains(&lower.as_str()) {
                found.insert(*word);
            }
        }
        index += 1;
    }
    found
}

/// The constants that `expression` compares with, in the order in which they stand.
pub(in crate::check) fn limits(expression: &str) -> Vec<Limit> {
    let tokens = tokens(expression);
    let limit = |(index, token): (usize, &Token<'_>)| {
        let operator = COMPARISONS.into_iter().find(|sign| *token == Token::Sign(sign))?;
        let mut right = tokens.get(index + 1..)?;
        if let [Token::Word("bool"), rest @ ..] = right {
            right = rest;
        }
        let (value, _) = sum(right)?;
        Some(Limit { operator, value })
    };
    tokens.iter().enumerate().filter_map(limit).collect()
}

/// A constant and the tokens after it; `None` when something else than numbers is in it.
type Constant<'t, 'a> = Option<(f64, &'t [Token<'a>])>;

fn sum<'t, 'a>(tokens: &'t [Token<'a>]) -> Constant<'t, 'a> {
    let (mut value, mut rest) = product(tokens)?;
    while let Some((Token::Sign(sign @ ("+" | "-")), after)) = rest.split_first() {
        let (next, after) = product(after)?;
        value = if *sign == "+" { value + next } else { value - next };
        rest = after;
    }
    Some((value, rest))
}

fn product<'t, 'a>(tokens: &'t [Token<'a>]) -> Constant<'t, 'a> {
    let (mut value, mut rest) = factor(tokens)?;
    while let Some((Token::Sign(sign @ ("*" | "/")), after)) = rest.split_first() {
        let (next, after) = factor(after)?;
        value = if *sign == "*" { value * next } else { value / next };
        rest = after;
    }
    Some((value, rest))
}

fn factor<'t, 'a>(tokens: &'t [Token<'a>]) -> Constant<'t, 'a> {
    match tokens.split_first()? {
        (Token::Number(value), rest) => Some((*value, rest)),
        (Token::Sign("-"), rest) => factor(rest).map(|(value, rest)| (-value, rest)),
        (Token::Sign("("), rest) => match sum(rest)? {
            (value, [Token::Sign(")"), rest @ ..]) => Some((value, rest)),
            _ => None,
        },
        _ => None,
    }
}

fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let (length, token) = match first {
            _ if first.is_whitespace() => (first.len_utf8(), None),
            '#' => (rest.find('\n').unwrap_or(rest.len()), None),
            '"' | '\'' | '`' => (string(rest, first), Some(Token::Other)),
            '{' | '[' => (bracket(rest), Some(Token::Other)),
            '$' => (variable(rest), Some(Token::Other)),
            '0'..='9' | '.' => number(rest),
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
                (length, Some(Token::Word(&rest[..length])))
            }
            _ => {
                let two =
                    COMPARISONS.iter().find(|sign| sign.len() == 2 && rest.starts_with(**sign));
                let length = two.map_or(first.len_utf8(), |sign| sign.len());
                (length, Some(Token::Sign(&rest[..length])))
            }
        };
        found.extend(token);
        rest = &rest[length..];
    }
    found
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The length of a string with its quotes.
fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `{…}` or `[…]`, in which a string may hold a bracket.
fn bracket(text: &str) -> usize {
    let mut at = 1;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '}' | ']' => return at + 1,
            '"' | '\'' | '`' => at += string(&text[at..], c),
            _ => at += c.len_utf8(),
        }
    }
    text.len()
}

/// The length of `$name` or `${name}`.
fn variable(text: &str) -> usize {
    if text.starts_with("${") {
        return text.find('}').map_or(text.len(), |end| end + 1);
    }
    1 + span(&text[1..], |c| c.is_ascii_alphanumeric() || c == '_')
}

/// A number, or a duration such as `1d12h`.
fn number(text: &str) -> (usize, Option<Token<'_>>) {
    let whole = span(text, |c| c.is_ascii_alphanumeric() || c == '.');
    let signed = text[..whole].ends_with(['e', 'E']) && text[whole..].starts_with(['+', '-']);
    let length =
        if signed { whole + 1 + span(&text[whole + 1..], |c| c.is_ascii_digit()) } else { whole };
    let token = text[..length].parse().map_or(Token::Other, Token::Number);
    (length, Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(expression: &str) -> Vec<&str> {
        metrics(expression).into_iter().collect()
    }

    #[test]
    fn metrics_are_told_from_functions_labels_and_keywords() {
        assert_eq!(
            names(r#"sum by (le, route) (rate(a_bucket{b="c{d}",e=~"$e"}[5m]))"#),
            ["a_bucket"]
        );
        assert_eq!(
            names(
                "max(job:a:rate5m) without (x) / on (instance) group_left (name) b offset 1d or vector(0)"
            ),
            ["b", "job:a:rate5m"]
        );
        assert_eq!(
            names("# c\nup == bool 1 unless avg_over_time(d[$__range:1m]) > Inf"),
            ["d", "up"]
        );
        assert_eq!(names("1e-3 * ${factor} + time()"), Vec::<&str>::new());
    }

    #[test]
    fn limits_are_computed_and_named_with_their_operator() {
        let found = |expression| -> Vec<(String, f64)> {
            limits(expression)
                .iter()
                .map(|limit| (limit.operator.to_owned(), limit.value))
                .collect()
        };
        let limit = |operator: &str, value| (operator.to_owned(), value);
        assert_eq!(found("a > 0.2 and b >= bool -1"), [limit(">", 0.2), limit(">=", -1.0)]);
        assert_eq!(found("x - time() < 14 * 86400"), [limit("<", 1_209_600.0)]);
        assert_eq!(found("1 - a > 2 * (1 - 0.5)"), [limit(">", 1.0)]);
        assert_eq!(found("a / (b > 0) > c * 2"), [limit(">", 0.0)]);
        assert_eq!(found(r#"a{b=~"x",c!="y > 1"} > 24 * 3600 / d"#), []);
    }
}
