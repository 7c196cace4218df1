//! Restored data is looked at, started alone and questioned: by a drill and by a restore alike, since
//! a restore must not prove less than the drill that went before it.

use anyhow::Result;

use super::server::Server;
use super::throwaway::{CannotOpen, Throwaway};
use super::unpack::Target;
use crate::docker::mount::Access;
use crate::process::check_interrupted;
use crate::report::finding::{Finding, Problem};
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All that there is to ask.
    Everything,
    /// All but what reads every table, index, series and page, which takes its time.
    Quick,
}

/// Data that was unpacked, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Examination<'a> {
    /// The stack, for the settings of its services.
    pub stack: &'a Stack,
    /// The service.
    pub service: &'a Service,
    /// What the manifest says of its data.
    pub held: &'a dyn Server,
    /// Where the data lies.
    pub target: &'a Target<'a>,
}

/// What came of it.
#[derive(Debug)]
pub struct Examined {
    /// The server, which still runs; none where it cannot open the data.
    pub server: Option<Throwaway>,
    /// The answers.
    pub findings: Vec<Finding>,
}

impl Examination<'_> {
    /// Looks and asks. `on_ready` is called once the server has read its data.
    ///
    /// # Errors
    /// A problem with the way out, or when nothing could be asked at all; what speaks against the
    /// data, and a question that had no answer, are findings.
    pub fn run(&self, extent: Extent, on_ready: &mut dyn FnMut()) -> Result<Examined> {
        let mut findings = Vec::new();
        let files = self.held.look_at_files(&self.target.helper("/data", Access::Read)?);
        keep(&mut findings, "drill.files", files.map(Vec::from_iter))?;
        let alone = self.held.alone(self.stack, self.service)?;
        // As much as it will have in use: what starts with more may not start there.
        let memory = self.stack.memory_limit(self.service)?;
        let server = match Throwaway::start(self.target, self.held, &alone, memory) {
            Ok(server) => server,
            Err(error) => match error.downcast::<CannotOpen>() {
                Ok(refusal) => {
                    findings.push(Finding::refuted("drill.opens", refusal.to_string()));
                    return Ok(Examined { server: None, findings });
                }
                Err(error) => return Err(error),
            },
        };
        on_ready();
        keep(&mut findings, "drill.compare", self.held.compare(server.client()))?;
        match extent {
            Extent::Everything => {
                keep(&mut findings, "drill.look-through", self.held.look_through(server.client()))?;
            }
            Extent::Quick => findings.push(Finding::not_looked_at(
                "drill.look-through",
                "not everything was read, as --quick wants it",
            )),
        }
        Ok(Examined { server: Some(server), findings })
    }
}

/// Adds what was found; a question without an answer is a finding too, and ends no other.
fn keep(findings: &mut Vec<Finding>, id: &'static str, found: Result<Vec<Finding>>) -> Result<()> {
    check_interrupted()?;
    match found {
        Ok(found) => findings.extend(found),
        Err(error) if error.chain().any(|cause| cause.is::<Problem>()) => return Err(error),
        Err(error) => findings.push(Finding::no_answer(id, format!("{error:#}"))),
    }
    Ok(())
}
