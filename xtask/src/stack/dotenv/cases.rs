//! The table of `tests/assets/dotenv-cases.txt`, which explains itself: one for this reader and for
//! the real programs, whose test includes this file.

const SIGNS: [(char, char); 6] =
    [('␍', '\r'), ('␤', '\n'), ('␉', '\t'), ('␠', ' '), ('◇', '\u{a0}'), ('▣', '\u{feff}')];

/// One file, and what is made of it.
pub(crate) struct Case {
    /// As it stands in the table.
    pub(crate) text: &'static str,
    /// The `.env` file.
    pub(crate) file: String,
    /// Who reads what: `1`, `2` or `*`, and `A=value`, `A` or `!`.
    pub(crate) expected: Vec<(&'static str, String)>,
}

/// Every case of the table.
pub(crate) fn cases() -> impl Iterator<Item = Case> {
    let table = include_str!("../../../../tests/assets/dotenv-cases.txt");
    table.split("\n= ").skip(1).map(|text| {
        let lines = text.lines().filter_map(|line| line.strip_prefix('>'));
        let file: String =
            lines.map(|line| visible(line.strip_prefix(' ').unwrap_or(line)) + "\n").collect();
        let readings = text.lines().skip(1).filter(|line| !line.starts_with(['>', '#']));
        let expected = readings.filter_map(|line| line.split_once(' '));
        Case {
            text,
            file: file.strip_suffix("∎\n").unwrap_or(&file).to_owned(),
            expected: expected.map(|(who, what)| (who, visible(what))).collect(),
        }
    })
}

/// `text` with the characters that its signs stand for.
fn visible(text: &str) -> String {
    let meant = |c| SIGNS.iter().find(|(sign, _)| *sign == c).map_or(c, |(_, meant)| *meant);
    text.chars().map(meant).collect()
}
