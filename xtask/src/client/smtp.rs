//! A greeting and EHLO (RFC 5321, section 4.1).

use std::io::{BufRead, BufReader, Write};

use super::{Unanswered, connect};
use crate::stack::url::Url;

pub(super) fn ask(url: &Url) -> Result<(), Unanswered> {
    let mut answers = BufReader::new(connect(url)?);
    expect(&mut answers, "220")?;
    answers.get_mut().write_all(b"EHLO xtask\r\n")?;
    expect(&mut answers, "250")?;
    answers.get_mut().write_all(b"QUIT\r\n")?;
    Ok(())
}

fn expect(answers: &mut impl BufRead, code: &str) -> Result<(), Unanswered> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    if line.starts_with(code) {
        Ok(())
    } else {
        Err(Unanswered::NotYet(format!("`{}` is not the SMTP answer {code}", line.trim_end())))
    }
}
