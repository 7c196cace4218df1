//! Random bytes for tests of whatever reads what somebody else may have written: it must not
//! panic, hang or take memory without bound. `XTASK_TEST_ROUNDS` makes a longer run.

/// Rounds where nobody asks for more.
const USUAL: u64 = 400;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// Rounds of this run.
fn rounds() -> u64 {
    let rounds = std::env::var("XTASK_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    rounds.unwrap_or(USUAL)
}

/// Hands over arbitrary strings, again and again: of signs that mean something in one language or
/// another, and of any others. A failure names the seed of its round.
pub(crate) fn text(mut take: impl FnMut(&str)) {
    const SIGNS: &[&str] = &[
        "'", "\"", "\\", "`", "$", "${A}", "$(a)", "%", "%%", "%h", "{", "}", "{{", "}}", "<", ">",
        "&", "|", "#", ":", "::", ";", ",", "=", "?", "/", "../", "-", "--", "@", "!", "*", "[",
        "]", "(", ")", "^", "~", ".", "+", "\n", "\r", "\t", "\0", "\x1b", "\x7f", " ", "é", "日",
        "👩", "\u{202e}", "\u{2028}", "\u{85}", "a", "Z", "0", "\\n", "\\x41", "name",
    ];
    for seed in 0..rounds() {
        let mut random = Random(seed);
        let mut string = String::new();
        for _ in 0..random.below(12) {
            match random.below(4) {
                0 => string.extend(char::from_u32(random.below(0x11_0000) as u32)),
                _ => string.push_str(SIGNS[random.below(SIGNS.len())]),
            }
        }
        let round = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| take(&string)));
        assert!(round.is_ok(), "seed {seed}: {string:?}");
    }
}

/// Hands over what becomes of `whole` when a few of its parts are changed, moved, repeated, left out
/// or replaced by one of `words`, again and again. A failure names the seed of its round.
pub(crate) fn garbled(whole: &[u8], words: &[&str], mut read: impl FnMut(&[u8])) {
    for seed in 0..rounds() {
        let mut random = Random(seed);
        let mut bytes = whole.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() + 1);
            let end = at + random.below(bytes.len() - at + 1).min(random.below(40));
            match random.below(6) {
                0 => drop(bytes.splice(at..end, words[random.below(words.len())].bytes())),
                1 => bytes.insert(at, random.below(256) as u8),
                2 => drop(bytes.drain(at..end)),
                3 => bytes.truncate(at),
                4 => {
                    let part = bytes[at..end].repeat(1 + random.below(20));
                    bytes.splice(at..at, part);
                }
                _ => {
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8))
                }
            }
        }
        let round = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&bytes)));
        assert!(round.is_ok(), "seed {seed}: {}", bytes.escape_ascii());
    }
}
