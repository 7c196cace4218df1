//! A PromQL expression as tokens: enough to see names, numbers and comparisons, and to change one.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A metric, a function, a label, a keyword.
    Word,
    /// A number that Rust reads alike.
    Number,
    /// `==`, `>`, …
    Comparison,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `+`, `,` and whatever else is one character.
    Sign,
    /// `{…}`.
    Selector,
    /// A string, a range, a duration, a variable of Grafana.
    Other,
}

/// A part of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// How it is written.
    pub text: &'a str,
    /// Where it begins in the expression, in bytes.
    pub start: usize,
}

impl Token<'_> {
    /// Its bytes in the expression.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// Its value, if it is a number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        (self.kind == Kind::Number).then(|| self.text.parse().ok())?
    }

    /// Whether it is the word `word`.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }
}

/// `expression` in tokens, without spaces and comments.
#[must_use]
pub fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(first) = expression[start..].chars().next() {
        let rest = &expression[start..];
        let (length, kind) = match first {
            _ if first.is_whitespace() => (first.len_utf8(), None),
            '#' => (rest.find('\n').unwrap_or(rest.len()), None),
            '"' | '\'' | '`' => (string(rest, first), Some(Kind::Other)),
            '{' => (bracket(rest), Some(Kind::Selector)),
            '[' => (bracket(rest), Some(Kind::Other)),
            '$' => (variable(rest), Some(Kind::Other)),
            '(' => (1, Some(Kind::Open)),
            ')' => (1, Some(Kind::Close)),
            '0'..='9' | '.' => number(rest),
            _ if is_of_word(first) => (span(rest, is_of_word), Some(Kind::Word)),
            _ => match comparison(rest) {
                Some(length) => (length, Some(Kind::Comparison)),
                None => (first.len_utf8(), Some(Kind::Sign)),
            },
        };
        found.extend(kind.map(|kind| Token { kind, text: &rest[..length], start }));
        start += length;
    }
    found
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The length of the comparison at the start.
fn comparison(text: &str) -> Option<usize> {
    let signs = ["==", "!=", ">=", "<=", ">", "<"];
    signs.into_iter().find(|sign| text.starts_with(sign)).map(str::len)
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
fn number(text: &str) -> (usize, Option<Kind>) {
    let whole = span(text, |c| c.is_ascii_alphanumeric() || c == '.');
    let signed = text[..whole].ends_with(['e', 'E']) && text[whole..].starts_with(['+', '-']);
    let length =
        if signed { whole + 1 + span(&text[whole + 1..], |c| c.is_ascii_digit()) } else { whole };
    let is_number = text[..length].parse::<f64>().is_ok();
    (length, Some(if is_number { Kind::Number } else { Kind::Other }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_where_it_says() {
        let expression = "sum by (a) (rate(b{c=\"}\"}[5m])) # d\n >= bool 1e-3 * $e offset 1d";
        let tokens = tokens(expression);
        assert!(tokens.iter().all(|token| &expression[token.range()] == token.text));
        let of = |kind| -> Vec<&str> {
            tokens.iter().filter(|token| token.kind == kind).map(|token| token.text).collect()
        };
        assert_eq!(of(Kind::Word), ["sum", "by", "a", "rate", "b", "bool", "offset"]);
        assert_eq!(of(Kind::Selector), ["{c=\"}\"}"]);
        assert_eq!(of(Kind::Other), ["[5m]", "$e", "1d"]);
        assert_eq!(of(Kind::Comparison), [">="]);
        assert_eq!(of(Kind::Number), ["1e-3"]);
        assert_eq!(of(Kind::Sign), ["*"]);
    }
}
