//! Placeholder until the first boot.
fn main() {}
