//! Data that a server has answered on and that is not there any more: no first start.

use anyhow::Result;

use super::origin;
use crate::docker::endpoint::Endpoint;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::{Finding, Problem};
use crate::stack::Stack;
use crate::stack::manifest::Service;

/// The services whose data has gone, whether they run or not: one that runs may still have a disk that
/// was taken away. Of another machine nothing is known.
pub fn services(stack: &Stack) -> Vec<&Service> {
    if Endpoint::current().is_remote() {
        return Vec::new();
    }
    let is_gone = |service: &&Service| {
        let path = service.data.as_ref().map(|data| stack.data_path(data));
        let was = origin::presence(stack, service);
        path.zip(was).is_some_and(|(path, was)| was.is_over(&path))
    };
    stack.definition.services.iter().filter(is_gone).collect()
}

/// Fails when data of `stack` has gone.
///
/// # Errors
/// `data.gone`.
pub fn refuse(stack: &Stack) -> Result<()> {
    match services(stack).first() {
        Some(service) => Err(Problem::from(&finding(stack, service)).into()),
        None => Ok(()),
    }
}

/// What is said of data that has gone.
pub fn finding(stack: &Stack, service: &Service) -> Finding {
    let path = service.data.as_ref().map(|data| stack.data_path(data)).unwrap_or_default();
    let path = path.display();
    Finding::error("data.gone", format!("its data is not in {path} any more"))
        .about(service.name.as_str())
        .mend(
            Advice::from(format!("if a disk of its own is not mounted there: mount {path}"))
                .or(format!("start without it: {}", Xtask::UpFresh(stack.on()))),
        )
}
