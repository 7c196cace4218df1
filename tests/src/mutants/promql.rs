//! Expressions with one mistake each. Knows as much of PromQL as that takes.

use std::ops::Range;

use xtask::check::promql::{Kind, Token, tokens};

/// Whether the series called `name` stands in `expr`.
pub(super) fn mentions(expr: &str, name: &str) -> bool {
    tokens(expr).iter().any(|token| token.is_word(name))
}

/// `expr` with one mistake at a time, and what the mistake is.
pub(super) fn mistakes(expr: &str) -> Vec<(String, String)> {
    let tokens = tokens(expr);
    let mut edits: Vec<(String, Range<usize>, String)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let word = token.text;
        let mut replace = |what: &str, by: &str| {
            edits.push((format!("{what} `{word}` to `{by}`"), token.range(), by.to_owned()));
        };
        match token.kind {
            // Which number `vector` gives to an alert that always fires does not matter.
            Kind::Number if index >= 2 && tokens[index - 2].text == "vector" => {}
            Kind::Number => moved(word).iter().for_each(|by| replace("number", by)),
            Kind::Comparison => {
                let turned = match word {
                    "==" => "!=",
                    _ if word.starts_with('>') => "<",
                    _ => ">",
                };
                replace("comparison", turned);
                if word.len() == 1 && !is_compared_with_fractions(&tokens[index + 1..]) {
                    replace("comparison", &format!("{word}="));
                }
            }
            Kind::Word => {
                let aggregates = tokens.get(index + 1).is_some_and(|next| {
                    next.kind == Kind::Open || ["by", "without"].contains(&next.text)
                });
                match word {
                    "max" if aggregates => replace("aggregation", "min"),
                    "min" | "sum" | "avg" if aggregates => replace("aggregation", "max"),
                    "by" | "on" => edits.extend(without_labels(&tokens[index + 1..])),
                    "and" | "or" | "unless" => edits.extend(without_sides(&tokens, index)),
                    _ => {}
                }
            }
            Kind::Selector => edits.extend(without_matchers(word, token.start)),
            _ => {}
        }
    }
    let apply = |(what, range, by): (String, Range<usize>, String)| {
        (what, format!("{}{by}{}", &expr[..range.start], &expr[range.end..]))
    };
    edits.into_iter().map(apply).collect()
}

/// A number a little higher and a little lower: by 5 %, and near 1 by 5 % of what is missing.
fn moved(number: &str) -> Vec<String> {
    let value: f64 = number.parse().expect("a number");
    let around = |value: f64, step: f64| vec![value + step, value - step];
    let moved = match value {
        0.0 => around(0.0, 1.0),
        value if (0.99..1.0).contains(&value) => around(value, 0.05 * (1.0 - value)),
        value => around(value, 0.05 * value),
    };
    let short =
        |value: f64| format!("{value:.9}").trim_end_matches('0').trim_end_matches('.').to_owned();
    moved.into_iter().map(short).collect()
}

/// Whether the right side is computed from fractions, which nothing measured ever equals: `>=`
/// would then be the same as `>`.
fn is_compared_with_fractions(right: &[Token<'_>]) -> bool {
    let side: Vec<_> = right.iter().take_while(|token| !is_set_operator(token.text)).collect();
    side.iter().any(|token| token.text == "*")
        && side.iter().any(|token| token.number().is_some_and(|n| n.fract() != 0.0))
}

fn is_set_operator(word: &str) -> bool {
    ["and", "or", "unless"].contains(&word)
}

/// Each label of the list at the start of `tokens` left out.
fn without_labels(tokens: &[Token<'_>]) -> Vec<(String, Range<usize>, String)> {
    let end = tokens.iter().position(|token| token.kind == Kind::Close).expect("a closed list");
    let list = tokens[0].start..tokens[end].range().end;
    let labels: Vec<_> =
        tokens[1..end].iter().map(|token| token.text).filter(|text| *text != ",").collect();
    let without = |left_out: &str| {
        labels.iter().filter(|label| **label != left_out).copied().collect::<Vec<_>>().join(", ")
    };
    let edit = |label: &&str| {
        (format!("grouping label `{label}` dropped"), list.clone(), format!("({})", without(label)))
    };
    labels.iter().map(edit).collect()
}

/// Each matcher of the selector at `start` left out.
fn without_matchers(selector: &str, start: usize) -> Vec<(String, Range<usize>, String)> {
    let inner = &selector[1..selector.len() - 1];
    let mut quoted = false;
    let matchers: Vec<_> = inner
        .split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .map(str::trim)
        .collect();
    let without = |left_out: usize| {
        let kept = matchers.iter().enumerate().filter(|(index, _)| *index != left_out);
        kept.map(|(_, matcher)| *matcher).collect::<Vec<_>>().join(", ")
    };
    let range = start..start + selector.len();
    let edit = |(index, matcher): (usize, &&str)| {
        (format!("matcher `{matcher}` dropped"), range.clone(), format!("{{{}}}", without(index)))
    };
    matchers.iter().enumerate().map(edit).collect()
}

/// The operator at `index` with its left and with its right side left out.
fn without_sides(tokens: &[Token<'_>], index: usize) -> Vec<(String, Range<usize>, String)> {
    let word = tokens[index].text;
    let ends = |tokens: &mut dyn Iterator<Item = &Token<'_>>, inner: Kind, outer: Kind| {
        let mut depth = 0;
        let mut last = None;
        for token in tokens {
            if token.kind == inner {
                depth += 1;
            } else if token.kind == outer {
                depth -= 1;
            }
            if depth < 0 || (depth == 0 && is_set_operator(token.text)) {
                break;
            }
            last = Some(token.range());
        }
        last.expect("an operator has two sides")
    };
    let right = ends(&mut tokens[index + 1..].iter(), Kind::Open, Kind::Close).end;
    let left = ends(&mut tokens[..index].iter().rev(), Kind::Close, Kind::Open).start;
    // `on (a, b)` belongs to the operator.
    let modifier = tokens.get(index + 1).filter(|token| token.text == "on");
    let own = match modifier {
        Some(_) => tokens[index..].iter().find(|token| token.kind == Kind::Close),
        None => tokens.get(index),
    };
    let operator = tokens[index].start..own.expect("an operator").range().end;
    vec![
        (format!("left side of `{word}` dropped"), left..operator.end, String::new()),
        (format!("right side of `{word}` dropped"), operator.start..right, String::new()),
    ]
}
