//! The program between two kernels.
#![no_std]
