//! How a command looks when it is printed.

use std::fmt;

use super::Cmd;

/// The line as a shell would take it, environment and stdin left out.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source} | ")?;
        }
        f.write_str(&quote(&self.program.to_string_lossy()))?;
        for arg in &self.args {
            write!(f, " {}", quote(short_id(&arg.to_string_lossy())))?;
        }
        Ok(())
    }
}

/// As docker prints ids and takes them too: the first 12 of 64 digits.
fn short_id(word: &str) -> &str {
    let is_id = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { word.get(..12).unwrap_or(word) } else { word }
}

/// `word` in single quotes, unless a shell takes it as it is.
pub fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    // zsh looks for a program where a word begins with `=`.
    if !word.is_empty() && !word.starts_with('=') && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_a_shell_would_take_it() {
        let cmd = Cmd::new("sh").args(["-c", "echo 'a b'", ""]).env("PASSWORD", "hidden");
        assert_eq!(cmd.to_string(), r"sh -c 'echo '\''a b'\''' ''");
    }

    #[test]
    fn a_shell_reads_every_word_as_it_was() {
        let (mut script, mut words) = ("printf '%s\\0'".to_owned(), Vec::new());
        crate::garble::text(|text| {
            // No argument can have a NUL.
            let word = text.replace('\0', "");
            script.push_str(&format!(" {}", quote(&word)));
            words.push(word);
        });
        let read = Cmd::new("sh").stdin(script).output().unwrap().stdout;
        assert_eq!(read.split_terminator('\0').collect::<Vec<_>>(), words);
    }

    #[test]
    fn prints_ids_as_docker_does() {
        assert_eq!(Cmd::new("docker").arg("0a".repeat(32)).to_string(), "docker 0a0a0a0a0a0a");
    }
}
