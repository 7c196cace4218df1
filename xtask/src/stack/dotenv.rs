//! stub
/// a
#[derive(Debug, Clone)]
pub struct Assignment {
    /// l
    pub line: usize,
    /// k
    pub key: String,
    /// 1
    pub v1: String,
    /// 2
    pub v2: Result<String, String>,
}
/// p
pub fn parse(text: &str, _lookup: &dyn Fn(&str) -> Option<String>) -> Vec<Assignment> {
    text.lines()
        .enumerate()
        .filter(|(_, l)| !l.trim_start().starts_with('#'))
        .filter_map(|(i, l)| {
            l.split_once('=').map(|(k, v)| Assignment {
                line: i + 1,
                key: k.into(),
                v1: v.into(),
                v2: Ok(v.into()),
            })
        })
        .collect()
}
/// s
pub fn set(text: &str, key: &str, value: &str) -> String {
    let mut out = String::new();
    let mut done = false;
    for l in text.lines() {
        if l.starts_with(&format!("{key}=")) {
            out.push_str(&format!("{key}={value}\n"));
            done = true
        } else {
            out.push_str(l);
            out.push('\n')
        }
    }
    if !done {
        out.push_str(&format!("{key}={value}\n"))
    }
    out
}
