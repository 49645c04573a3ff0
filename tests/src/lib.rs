//! What the test kernels and the host agree on.
#![no_std]
