//! Aligned columns.

use anstyle::Style;

use super::printable::one_line;

/// A cell: its text and how it is coloured.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A coloured cell.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: one_line(&text.into()).into_owned(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Between two columns.
const GAP: &str = "  ";

/// Lines of the table, columns two spaces apart and no wider than their widest cell.
pub fn lines(head: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
    fitting(head, rows, &[], None)
}

/// As [`lines`], no wider than `width` characters: `expendable` columns are left out, in this
/// order, until the rest fits.
pub fn fitting(
    head: &[&str],
    rows: &[Vec<Cell>],
    expendable: &[&str],
    width: Option<usize>,
) -> Vec<String> {
    let titles: Vec<_> = head.iter().map(|text| Cell::styled(*text, Style::new().bold())).collect();
    let all = || std::iter::once(&titles).chain(rows);
    let widest = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(widest).collect();
    let mut shown: Vec<_> = (0..head.len()).collect();
    let total = |shown: &[usize]| -> usize {
        shown.iter().filter_map(|column| widths.get(*column)).map(|width| width + GAP.len()).sum()
    };
    for out in expendable {
        if width.is_some_and(|width| total(&shown) > width + GAP.len()) {
            shown.retain(|column| head.get(*column) != Some(out));
        }
    }
    let line = |row: &Vec<Cell>| {
        let cells =
            shown.iter().filter_map(|column| Some((row.get(*column)?, widths.get(*column)?)));
        let cells = cells.map(|(Cell { text, style }, width)| {
            let gap = " ".repeat(width - text.chars().count());
            format!("{style}{text}{style:#}{gap}")
        });
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    all().map(line).collect()
}

/// The terminal's width in characters: `COLUMNS`, or what the terminal says; `None` where the
/// output goes elsewhere.
pub fn terminal_width() -> Option<usize> {
    let stated = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col))
    };
    stated.or_else(asked).filter(|width| *width > 0)
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

    #[test]
    fn columns_are_left_out_until_the_rest_fits() {
        let rows = [vec!["aaaa".into(), "bbbb".into(), "cccc".into()]];
        let line = |width| {
            let lines = fitting(&["A", "B", "C"], &rows, &["C", "A"], Some(width));
            anstream::adapter::strip_str(&lines[1]).to_string()
        };
        assert_eq!(line(16), "aaaa  bbbb  cccc");
        assert_eq!(line(15), "aaaa  bbbb");
        assert_eq!(line(9), "bbbb");
        assert_eq!(line(1), "bbbb");
    }
}
