//! What a PromQL expression names and what it compares with. No more of the language than that:
//! promtool judges it.

mod tokens;

use std::collections::BTreeSet;

pub use self::tokens::{Kind, Token, tokens};

/// A comparison with a constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::check) struct Limit<'a> {
    /// `>`, `<=`, `==`, …
    pub operator: &'a str,
    /// What stands right of it, computed.
    pub value: f64,
}

/// Words that are followed by a list of labels.
const LABEL_LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are no metric though no parenthesis follows.
const KEYWORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"];

/// The metrics that `expression` reads.
pub fn metrics(expression: &str) -> BTreeSet<&str> {
    let tokens = tokens(expression);
    let mut found = BTreeSet::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let next = tokens.get(index + 1);
        if token.kind == Kind::Word {
            let lower = token.text.to_ascii_lowercase();
            let called = next.is_some_and(|next| next.kind == Kind::Open);
            // `sum by (job) (…)`: the parenthesis of the function comes later.
            let groups = next.is_some_and(|next| next.is_word("by") || next.is_word("without"));
            if LABEL_LISTS.contains(&lower.as_str()) {
                let list = tokens[index..].iter().take_while(|token| token.kind != Kind::Close);
                index += if called { list.count() } else { 0 };
            } else if !called && !groups && !KEYWORDS.contains(&lower.as_str()) {
                found.insert(token.text);
            }
        }
        index += 1;
    }
    found
}

/// The constants that `expression` compares with, in the order in which they stand.
pub(in crate::check) fn limits(expression: &str) -> Vec<Limit<'_>> {
    let tokens = tokens(expression);
    let mut limits = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let right = match &tokens[index + 1..] {
            [bool, rest @ ..] if bool.is_word("bool") => rest,
            right => right,
        };
        if let (Kind::Comparison, Some((value, _))) = (token.kind, sum(right)) {
            limits.push(Limit { operator: token.text, value });
        }
    }
    limits
}

/// A constant and the tokens after it; `None` when something else than numbers is in it.
type Constant<'t, 'a> = Option<(f64, &'t [Token<'a>])>;

fn sum<'t, 'a>(tokens: &'t [Token<'a>]) -> Constant<'t, 'a> {
    let (mut value, mut rest) = product(tokens)?;
    while let Some((Token { text: sign @ ("+" | "-"), .. }, after)) = rest.split_first() {
        let (next, after) = product(after)?;
        value = if *sign == "+" { value + next } else { value - next };
        rest = after;
    }
    Some((value, rest))
}

fn product<'t, 'a>(tokens: &'t [Token<'a>]) -> Constant<'t, 'a> {
    let (mut value, mut rest) = factor(tokens)?;
    while let Some((Token { text: sign @ ("*" | "/"), .. }, after)) = rest.split_first() {
        let (next, after) = factor(after)?;
        value = if *sign == "*" { value * next } else { value / next };
        rest = after;
    }
    Some((value, rest))
}

fn factor<'t, 'a>(tokens: &'t [Token<'a>]) -> Constant<'t, 'a> {
    let (first, rest) = tokens.split_first()?;
    match first.text {
        "-" => factor(rest).map(|(value, rest)| (-value, rest)),
        "(" => match sum(rest)? {
            (value, [Token { kind: Kind::Close, .. }, rest @ ..]) => Some((value, rest)),
            _ => None,
        },
        _ => Some((first.number()?, rest)),
    }
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
