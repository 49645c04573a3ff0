//! The boot cases.
