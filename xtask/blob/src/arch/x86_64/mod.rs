//! x86-64.

pub mod causes;
pub mod instructions;
