//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.
fn main() {}
