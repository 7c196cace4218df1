//! A program that believes it writes to a terminal, since it says more there.

use std::fs::File;

use anyhow::{Context as _, Result};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use super::{Cmd, Ends, check_interrupted, read_within};

/// Longest line that is taken whole, in bytes.
const LONGEST: usize = 16 << 10;

impl Cmd {
    /// Runs with a terminal for stdout, and hands over each line as it is written. One that is
    /// written over comes each time; what moves the cursor or colours is left out. Stops the
    /// program when the user interrupts.
    ///
    /// # Errors
    /// As [`Cmd::read`], and where the system has no terminal to give.
    pub fn each_line_of_terminal(&self, take: impl FnMut(&str)) -> Result<()> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).context("opening a terminal")?;
        grantpt(&ours).and_then(|()| unlockpt(&ours)).context("opening a terminal")?;
        let theirs = ioctl_tiocgptpeer(&ours, flags).context("opening a terminal")?;
        let running = self.start(Ends { stdout: Some(theirs), ..Ends::default() })?;
        each_line(ours.into(), take)?;
        running.finish().map(drop)
    }
}

/// Hands over what stands between two breaks of a line, or returns to its begin.
fn each_line(mut terminal: File, mut take: impl FnMut(&str)) -> Result<()> {
    let mut buffer = [0; 4096];
    let mut line = Vec::new();
    loop {
        // Reading fails (EIO) once nobody has the other end.
        let read = match read_within(&mut terminal, &mut buffer, None) {
            Ok(read) => read.unwrap_or(0),
            Err(_) => check_interrupted().map(|()| 0)?,
        };
        for byte in &buffer[..read] {
            match byte {
                b'\r' | b'\n' => hand_over(&mut line, &mut take),
                _ if line.len() < LONGEST => line.push(*byte),
                _ => {}
            }
        }
        if read == 0 {
            hand_over(&mut line, &mut take);
            return Ok(());
        }
    }
}

fn hand_over(line: &mut Vec<u8>, take: &mut impl FnMut(&str)) {
    let text = String::from_utf8_lossy(line);
    let text = anstream::adapter::strip_str(&text).to_string();
    line.clear();
    if !text.trim().is_empty() {
        take(text.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(script: &str) -> (Vec<String>, Result<()>) {
        let mut lines = Vec::new();
        let end = Cmd::new("sh").args(["-c", script]).each_line_of_terminal(|line| {
            lines.push(line.to_owned());
        });
        (lines, end)
    }

    #[test]
    fn a_program_sees_a_terminal_and_its_lines_come_each_time_they_are_written_over() {
        let script = r"[ -t 1 ] && printf '\033[1A\033[2K\r50 %%\r100 %%\nend'";
        let (lines, end) = lines(script);
        end.unwrap();
        assert_eq!(lines, ["50 %", "100 %", "end"]);
    }

    #[test]
    fn its_failure_repeats_its_stderr() {
        let (_, end) = lines("echo begun; echo broken >&2; exit 3");
        let error = end.unwrap_err().downcast::<super::super::ProcessError>().unwrap();
        assert_eq!(error.failure, super::super::Failure::Status(Some(3)));
        assert_eq!(error.stderr, "broken");
    }
}
