//! `cargo xtask`: builds the purgatory, proves its promises, and boots it.
#![expect(dead_code, reason = "the callers come with the subcommands")]

#[cfg(test)]
mod fixture;
mod loader;

const fn main() {}
