//! What Grafana does between a dashboard and Prometheus: it fills the variables from their
//! queries, puts them into the panels' queries with «All» chosen, and asks.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tests::net;
use xtask::check::dashboards::{Board, Query};

/// The variables and queries of `board` that Prometheus has no data for, each with why.
pub(super) fn unanswered(port: u16, board: &Board) -> Vec<String> {
    let mut chosen = times(board);
    let mut found = Vec::new();
    for variable in board.variables() {
        match options(port, &fill(variable.query, &chosen)) {
            Ok(options) if !options.is_empty() => chosen.push((variable.name, all(&options))),
            Ok(_) => found.push(format!("{}: variable `{}`: no data", board.name, variable.name)),
            Err(error) => found.push(format!("{}: variable: {error}", board.name)),
        }
    }
    // `$__range` also begins `$__range_s`.
    chosen.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for query in board.queries() {
        let expression = fill(query.expression, &chosen);
        let why = match ask(port, &query, &expression) {
            Ok(data) if has_number(&data) => continue,
            Ok(_) => "no data".to_owned(),
            Err(error) => error,
        };
        found.push(format!("{}: panel `{}`: {why}: {expression}", board.name, query.title));
    }
    found
}

/// Grafana's own variables, with a scrape interval of 15 s.
fn times(board: &Board) -> Vec<(&'static str, String)> {
    let range = board.json["time"]["from"].as_str().and_then(|from| from.strip_prefix("now-"));
    vec![
        ("__rate_interval", "1m".to_owned()),
        ("__interval", "15s".to_owned()),
        ("__range", range.expect("a time that begins with now-").to_owned()),
    ]
}

fn fill(text: &str, chosen: &[(&str, String)]) -> String {
    chosen.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    })
}

/// «All», as Grafana gives it to Prometheus: an alternative of what the variable may be.
fn all(options: &[String]) -> String {
    let special = |c: char| r"\^$*{}[]'+?.()|".contains(c);
    let escape = |option: &String| -> String {
        option.chars().map(|c| if special(c) { format!(r"\\{c}") } else { c.to_string() }).collect()
    };
    format!("({})", options.iter().map(escape).collect::<Vec<_>>().join("|"))
}

/// What `label_values(series, label)` gives.
fn options(port: u16, query: &str) -> Result<Vec<String>, String> {
    let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let (series, label) =
        inner.and_then(|inner| inner.rsplit_once(',')).ok_or("no label_values")?;
    values(port, &format!("/api/v1/label/{}/values", label.trim()), &[("match[]", series)])
}

/// A list of words from Prometheus.
pub(super) fn values(
    port: u16,
    path: &str,
    parameters: &[(&str, &str)],
) -> Result<Vec<String>, String> {
    let data = get(port, path, parameters)?;
    let words = data.as_array().into_iter().flatten();
    Ok(words.filter_map(|word| word.as_str().map(str::to_owned)).collect())
}

fn ask(port: u16, query: &Query<'_>, expression: &str) -> Result<Value, String> {
    if query.instant {
        return get(port, "/api/v1/query", &[("query", expression)]);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (start, end) = ((now - 60).to_string(), now.to_string());
    let parameters = [("query", expression), ("start", &start), ("end", &end), ("step", "5")];
    get(port, "/api/v1/query_range", &parameters)
}

/// Whether there is a number in it; 0/0, which panels show as nothing, is none.
fn has_number(data: &Value) -> bool {
    let series = data["result"].as_array().into_iter().flatten();
    let samples = series.flat_map(|series| {
        let many = series["values"].as_array().into_iter().flatten();
        many.chain(series.get("value"))
    });
    samples.filter_map(|sample| sample[1].as_str()?.parse::<f64>().ok()).any(f64::is_finite)
}

fn get(port: u16, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
    let encode =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let (status, _, answer) =
        net::http(port, "GET", &format!("{path}?{}", pairs.join("&")), &[], "")
            .ok_or("Prometheus does not answer")?;
    if status != 200 {
        return Err(answer);
    }
    let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
    Ok(answer["data"].clone())
}
