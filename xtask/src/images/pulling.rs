//! How far a pull is, out of what `docker pull` writes to a terminal.

use std::collections::BTreeMap;

use crate::plan::Progress;
use crate::report::units::image_size;

/// The layers of one image.
#[derive(Debug, Default)]
pub(super) struct Pulling(BTreeMap<String, Layer>);

#[derive(Debug, Default)]
struct Layer {
    /// Bytes that have come.
    done: u64,
    /// Bytes that it has; 0 until it is known, with the first that come.
    total: u64,
    is_whole: bool,
}

impl Progress for Pulling {
    /// `12 MB of 340 MB, 2 of 9 layers`. The bytes are those of the layers that have begun.
    fn after(&mut self, line: &str) -> String {
        self.take(line);
        if self.0.is_empty() {
            return line.to_owned();
        }
        let sum = |bytes: fn(&Layer) -> u64| self.0.values().map(bytes).sum();
        let (done, total) = (sum(|layer| layer.done), sum(|layer| layer.total));
        let whole = self.0.values().filter(|layer| layer.is_whole).count();
        let (done, total) = (image_size(done), image_size(total));
        format!("{done} of {total}, {whole} of {} layers", self.0.len())
    }
}

impl Pulling {
    /// Takes `a2abf6c4d29d: Downloading [=>   ]  1.2MB/31.4MB 12s`.
    fn take(&mut self, line: &str) {
        let Some((id, status)) = line.split_once(": ") else { return };
        let is_layer = id.len() == 12 && id.bytes().all(|c| c.is_ascii_hexdigit());
        if !is_layer {
            return;
        }
        let layer = self.0.entry(id.to_owned()).or_default();
        if let Some(rest) = status.strip_prefix("Downloading") {
            let sizes = rest.split_whitespace().find_map(|word| word.split_once('/'));
            let sizes = sizes.and_then(|(done, total)| Some((bytes(done)?, bytes(total)?)));
            if let Some((done, total)) = sizes {
                (layer.done, layer.total) = (done, total);
            }
        } else if ["Verifying", "Download complete", "Extracting", "Pull complete"]
            .iter()
            .any(|begin| status.starts_with(begin))
        {
            layer.done = layer.total;
        }
        layer.is_whole |= ["Pull complete", "Already exists"].contains(&status);
    }
}

/// `31.4MB`, in powers of 1000, as the client prints it.
fn bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 5] =
        [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)];
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    number.parse::<f64>().ok().map(|number| (number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Docker 20.10 writes them to a terminal.
    #[test]
    fn bytes_of_all_layers_are_added_up() {
        let mut pulling = Pulling::default();
        for (line, shown) in [
            ("6-alpine: Pulling from library/redis", "6-alpine: Pulling from library/redis"),
            ("43c4264eed91: Already exists", "0 kB of 0 kB, 1 of 1 layers"),
            ("a2abf6c4d29d: Pulling fs layer", "0 kB of 0 kB, 1 of 2 layers"),
            (
                "a2abf6c4d29d: Downloading [=>    ]  1.5MB/31.4MB 12s",
                "1 MB of 31 MB, 1 of 2 layers",
            ),
            ("c5166a2ca1b8: Downloading  512.3kB/1.02GB", "2 MB of 1.05 GB, 1 of 3 layers"),
            ("a2abf6c4d29d: Retrying in 5 seconds", "2 MB of 1.05 GB, 1 of 3 layers"),
            ("a2abf6c4d29d: Download complete", "31 MB of 1.05 GB, 1 of 3 layers"),
            ("a2abf6c4d29d: Extracting [==> ]  20MB/31.4MB", "31 MB of 1.05 GB, 1 of 3 layers"),
            ("a2abf6c4d29d: Pull complete", "31 MB of 1.05 GB, 2 of 3 layers"),
            ("Digest: sha256:0123", "31 MB of 1.05 GB, 2 of 3 layers"),
        ] {
            assert_eq!(pulling.after(line), shown, "{line}");
        }
    }
}
