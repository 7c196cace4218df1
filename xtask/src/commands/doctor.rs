//! stub
/// stub
#[derive(Debug, clap::Args)]
pub struct Args {}
impl Args {
    /// x
    pub fn run(self, _: &crate::context::Context) -> anyhow::Result<()> {
        Ok(())
    }
}
