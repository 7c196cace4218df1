//! What may reach a person's terminal. Log lines, names in manifests and words of an engine can
//! hold sequences that colour, hide or write over what stands there, or that type into it; in
//! output for people every such character is shown escaped. Archives and `--json` keep the bytes.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Words of others: of control characters only line breaks and tabs stay. A colour is left out.
pub fn plain(text: &str) -> Cow<'_, str> {
    cleaned(text, false, &|c| matches!(c, '\n' | '\t'))
}

/// As [`plain`], for what stands in one line: a cell, a name.
pub fn one_line(text: &str) -> Cow<'_, str> {
    cleaned(text, false, &|_| false)
}

/// What this program puts together: its own colours stay too. For the way out.
pub(super) fn with_own_colours(text: &str) -> Cow<'_, str> {
    cleaned(text, true, &|c| matches!(c, '\n' | '\t'))
}

fn cleaned<'a>(text: &'a str, colours: bool, stays: &dyn Fn(char) -> bool) -> Cow<'a, str> {
    if text.chars().all(|c| stays(c) || !is_dangerous(c)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = colour(rest) {
            let (sequence, after) = rest.split_at(length);
            if colours && is_own(sequence) {
                clean.push_str(sequence);
            }
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        // Programs on other systems end lines so.
        let ends_line = c == '\r' && rest.starts_with('\n') && stays('\n');
        match c {
            _ if ends_line => {}
            c if stays(c) || !is_dangerous(c) => clean.push(c),
            c if c.is_ascii() => drop(write!(clean, "\\x{:02x}", c as u32)),
            c => drop(write!(clean, "\\u{{{:x}}}", c as u32)),
        }
    }
    Cow::Owned(clean)
}

/// Control characters, and those that turn the direction of text or break lines unseen.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Bytes of the sequence for colours (SGR) at the begin of `text`.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':'))?;
    parameters[end..].starts_with('m').then_some("\x1b[".len() + end + 1)
}

/// Whether `sequence` is one that styles of this program are made of: none hides text.
fn is_own(sequence: &str) -> bool {
    let number = sequence.trim_start_matches("\x1b[").trim_end_matches('m').parse();
    matches!(number, Ok(0 | 1 | 2 | 31..=37 | 91..=97))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::garble::{garbled, text};
    use crate::report::{BAD, DIM, GOOD, WARNING};

    /// Each as seen in the wild: title, clipboard, cursor, screen, conceal, answer, C1, direction.
    const ATTACKS: &[&str] = &[
        "\x1b]0;title\x07",
        "\x1b]52;c;cm0gLXJmIC8=\x07",
        "\x1b[2J\x1b[H",
        "\x1b[1A\x1b[2K✓ all is well",
        "\x1b[8mhidden",
        "\x1b[30;40mhidden",
        "\x1b[6n",
        "\x1bP+q544e\x1b\\",
        "\u{9b}2J",
        "\u{9d}0;title\u{9c}",
        "over\rwritten",
        "back\x08\x08",
        "\u{202e}txt.exe",
        "nul\0del\x7f",
    ];

    #[test]
    fn no_sequence_of_others_reaches_a_terminal() {
        for attack in ATTACKS {
            for shown in [plain(attack), one_line(attack), with_own_colours(attack)] {
                assert!(!shown.contains(is_dangerous), "{attack:?}: {shown:?}");
            }
        }
        assert_eq!(plain("a\x1b[31mred\x1b[0m\x1b[2Jb"), "ared\\x1b[2Jb");
        assert_eq!(plain("one\r\ntwo\tand\rthree"), "one\ntwo\tand\\x0dthree");
        assert_eq!(one_line("a\n✓ b"), "a\\x0a✓ b");
        assert_eq!(one_line("é 日本 👩‍🚀"), "é 日本 👩‍🚀");
    }

    #[test]
    fn our_own_colours_stay() {
        for style in [GOOD, WARNING, BAD, DIM] {
            let text = format!("{style}text{style:#}");
            assert_eq!(with_own_colours(&text), text);
            assert_eq!(plain(&text), "text");
        }
    }

    #[test]
    fn no_text_at_all_leaves_a_dangerous_character() {
        let words = &["\x1b[", "\x1b]", "m", "\u{9b}", "\r", "\n", "\x07", "31", ";", "\u{202e}"];
        garbled(ATTACKS.concat().as_bytes(), words, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            assert!(!one_line(&text).contains(is_dangerous));
            assert!(!plain(&text).contains(|c| is_dangerous(c) && c != '\n' && c != '\t'));
            let own = with_own_colours(&text);
            let mut rest = &*own;
            while let Some(at) = rest.find('\x1b') {
                let length = colour(&rest[at..]).expect("a colour");
                assert!(is_own(&rest[at..at + length]), "{own:?}");
                rest = &rest[at + length..];
            }
        });
        text(|text| assert_eq!(plain(&plain(text)), plain(text), "cleaned once is clean"));
    }
}
