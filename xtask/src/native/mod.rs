//! The shipped bytes on this very processor.

pub(crate) mod bench;
pub(crate) mod userspace;
