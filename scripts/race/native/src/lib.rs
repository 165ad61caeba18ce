//! `clean` and `enrich` without a sandbox: the same sources, compiled for this machine, called with the same frames.
#![expect(unreachable_pub, reason = "in their own crates these items are public")]

#[path = "../../../../transforms/modules/clean/src/lib.rs"]
mod clean;
#[path = "../../../../transforms/modules/enrich/src/lib.rs"]
mod enrich;

use transform_sdk::{Parameters, frame::FrameError, process};

/// The two modules with their settings.
#[derive(Debug)]
pub struct Native {
    clean: clean::Config,
    enrich: enrich::Config,
}

/// A frame of records becomes a frame of verdicts.
pub type Module = fn(&Native, &[u8]) -> Result<Vec<u8>, FrameError>;

impl Native {
    /// The modules in their order.
    pub const CHAIN: [Module; 2] = [Self::clean, Self::enrich];

    /// With these parameters of `enrich`; `clean` has its defaults.
    ///
    /// # Errors
    /// What the module says of its parameters.
    pub fn new(enrich: &[(String, String)]) -> Result<Self, String> {
        Ok(Self { clean: Parameters::parse(&[])?, enrich: Parameters::parse(enrich)? })
    }

    fn clean(&self, frame: &[u8]) -> Result<Vec<u8>, FrameError> {
        process::<clean::__transform>(&self.clean, frame)
    }

    fn enrich(&self, frame: &[u8]) -> Result<Vec<u8>, FrameError> {
        process::<enrich::__transform>(&self.enrich, frame)
    }
}
