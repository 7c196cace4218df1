//! Aligned columns.

use anstyle::Style;

/// A cell: its text and how it is coloured.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A coloured cell.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

/// Lines of the table, columns two spaces apart and no wider than their widest cell.
pub fn lines(head: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
    let head: Vec<_> = head.iter().map(|text| Cell::styled(*text, Style::new().bold())).collect();
    let all = || std::iter::once(&head).chain(rows);
    let columns = all().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        all()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.text.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<Cell>| {
        let cells = row.iter().zip(&widths).map(|(Cell { text, style }, width)| {
            let gap = " ".repeat(width - text.chars().count());
            format!("{style}{text}{style:#}{gap}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["postgres".into(), "up".into()], vec!["é".into(), "down".into()]];
        let plain: Vec<_> = lines(&["SERVICE", "STATE"], &rows)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(plain, ["SERVICE   STATE", "postgres  up", "é         down"]);
    }
}
