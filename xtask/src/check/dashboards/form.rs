//! The normal form of a dashboard: as Grafana exports it, keys sorted, two spaces, without what
//! belongs to the database of one Grafana. A diff then shows what was changed, and each value has a
//! line.

use serde_json::Value;

/// `board` as a file.
pub(super) fn normal(board: &Value) -> String {
    let mut board = board.clone();
    if let Some(top) = board.as_object_mut() {
        // Numbers of the database that it was exported from.
        top.insert("id".to_owned(), Value::Null);
        top.remove("version");
        top.remove("iteration");
    }
    // A map of serde_json is sorted by its keys.
    format!("{board:#}\n")
}

/// The line, from 1, on which the value at `pointer` begins in the normal form.
pub(super) fn line(board: &Value, pointer: &str) -> usize {
    let mut line = 1;
    let mut value = board;
    for step in pointer.split('/').skip(1) {
        let before: usize;
        (before, value) = match value {
            Value::Object(map) => {
                let before = map.iter().take_while(|(key, _)| *key != step);
                (before.map(|(_, value)| lines(value)).sum(), &map[step])
            }
            Value::Array(list) => {
                let index: usize = step.parse().unwrap_or_default();
                (list[..index].iter().map(lines).sum(), &list[index])
            }
            _ => return line,
        };
        line += 1 + before;
    }
    line
}

fn lines(value: &Value) -> usize {
    match value {
        Value::Object(map) if !map.is_empty() => 2 + map.values().map(lines).sum::<usize>(),
        Value::Array(list) if !list.is_empty() => 2 + list.iter().map(lines).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_form_is_sorted_and_knows_its_lines() {
        let board = serde_json::json!({
            "version": 7, "id": 3, "panels": [{ "title": "a", "e": [] }, { "title": "b", "id": 2 }]
        });
        let text = normal(&board);
        assert!(!text.contains("version") && text.contains("\"id\": null"), "{text}");
        let again: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(normal(&again), text);
        for (pointer, words) in [
            ("/panels", "\"panels\": ["),
            ("/panels/1", "{"),
            ("/panels/1/title", "\"title\": \"b\""),
        ] {
            let line = text.lines().nth(line(&again, pointer) - 1).unwrap();
            assert_eq!(line.trim().trim_end_matches(','), words, "{pointer}");
        }
    }
}
