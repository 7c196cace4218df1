//! stub
use crate::{context::Context, stack::Stack};
/// x
pub fn refuse_unfit(_: &Context, _: &Stack) -> anyhow::Result<()> {
    Ok(())
}
/// x
pub mod fix {
    /// x
    pub fn mend_machine(_: &crate::context::Context, _: bool) -> anyhow::Result<()> {
        Ok(())
    }
}
/// x
pub mod env_file {
    /// x
    pub fn check(
        _: &crate::context::Context,
        _: &crate::stack::Stack,
    ) -> Vec<crate::report::finding::Finding> {
        vec![]
    }
}
