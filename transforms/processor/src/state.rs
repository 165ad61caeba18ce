//! The state that all processes share, in two compacted topics: uploaded modules and pipelines. [`catalog`] is what has
//! been read of it, [`facts`] what it says of versions, [`follow`] reads on, [`hindrance`] is why it does not, [`write`]
//! writes, [`parts`] is how a module lies in its topic. No other storage, no coordinator.

pub mod catalog;
pub mod facts;
pub mod follow;
pub mod hindrance;
pub mod parts;
pub mod write;
