// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rebuilds the blob when its linker script changes: cargo does not know of it.
fn main() {
    println!("cargo:rerun-if-changed=../linker/purgatory.ld");
}
