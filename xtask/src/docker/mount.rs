//! What a container sees of the host, as options of `docker run`.

use anyhow::{Result, ensure};

/// Whether a container may write what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may look.
    Read,
    /// It may do both.
    Write,
}

/// Shows the host's folder `source`, which is there, or the volume of that name, as `target`: an
/// absolute path is a folder.
///
/// # Errors
/// When the client could not read the path from its option.
pub fn mount(source: &str, target: &str, access: Access) -> Result<[String; 2]> {
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    let mut fields = vec![
        format!("type={kind}"),
        field(&format!("source={source}"))?,
        field(&format!("target={target}"))?,
    ];
    if access == Access::Read {
        fields.push("readonly".to_owned());
    }
    Ok(["--mount".to_owned(), fields.join(",")])
}

/// A field of a line of comma-separated values, as the client's reader (Go, encoding/csv) has it.
fn field(text: &str) -> Result<String> {
    ensure!(
        !text.contains(['\r', '\0']),
        "Docker cannot mount {text:?}: it has a control character"
    );
    let needs_quotes = text.contains(['"', ',', '\n']);
    Ok(if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() })
}

/// As [`mount`], to write, where the engine makes a folder that is missing: only its older option
/// does, which has no way to write a colon.
///
/// # Errors
/// When `source` has a colon.
pub fn make_and_mount(source: &str, target: &str) -> Result<[String; 2]> {
    ensure!(!source.contains(':'), "Docker cannot mount `{source}`: its name has a colon");
    Ok(["--volume".to_owned(), format!("{source}:{target}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RFC 4180 reads a line.
    fn fields(line: &str) -> Vec<String> {
        let (mut fields, mut quoted) = (vec![String::new()], false);
        let mut signs = line.chars().peekable();
        while let Some(sign) = signs.next() {
            let field = fields.last_mut().unwrap();
            match sign {
                '"' if quoted && signs.peek() == Some(&'"') => field.extend(signs.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                sign => field.push(sign),
            }
        }
        assert!(!quoted, "{line}");
        fields
    }

    #[test]
    fn every_path_is_one_field_of_its_own() {
        crate::garble::text(|text| {
            let source = format!("/{text}");
            let Ok([option, line]) = mount(&source, "/data", Access::Read) else {
                return assert!(text.contains(['\r', '\0']), "{text:?}");
            };
            let read = fields(&line);
            assert_eq!(option, "--mount");
            assert_eq!(
                read,
                ["type=bind", &format!("source={source}"), "target=/data", "readonly"]
            );
        });
        assert_eq!(
            mount("name", "/a", Access::Write).unwrap()[1],
            "type=volume,source=name,target=/a"
        );
        assert!(make_and_mount("/a:b", "/data").is_err());
    }
}
