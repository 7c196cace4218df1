//! What a person has probably meant.

/// The one of `known` that `key` is probably a misspelling of.
pub fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|name| (distance(key, name), *name)).min()?;
    (near.0 <= (key.len() / 4).max(2)).then_some(near.1)
}

/// How many letters must be added, removed or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<_> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, to) in row.iter_mut().skip(1).zip(&b) {
            let changed = diagonal + usize::from(from != *to);
            diagonal = *above;
            left = changed.min(*above + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_has_a_nearest_one() {
        let known = ["POSTGRES_PASSWORD", "POSTGRES_PORT", "REDIS_PORT"];
        assert_eq!(nearest("POSTGRES_PASWORD", &known), Some("POSTGRES_PASSWORD"));
        assert_eq!(nearest("REDISPORT", &known), Some("REDIS_PORT"));
        assert_eq!(nearest("EDITOR", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
