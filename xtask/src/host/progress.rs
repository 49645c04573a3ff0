// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shows on a terminal that something is going on, and how far it is.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Removes its line when dropped.
pub(crate) struct Spinner(ProgressBar);

/// Shows a spinner with `what`; nothing where standard error is no terminal.
pub(crate) fn spinner(what: impl Into<Cow<'static, str>>) -> Spinner {
    let bar = ProgressBar::new_spinner()
        .with_style(
            ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        )
        .with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    Spinner(bar)
}

/// Removes its line when dropped.
pub(crate) struct Bar(ProgressBar);

/// Shows how many of `total` there are of `what`, how fast they come, and how long the
/// rest takes.
pub(crate) fn bar(what: impl Into<Cow<'static, str>>, total: u64) -> Bar {
    let style = "{msg} {wide_bar} {human_pos} of {human_len}, {per_sec}, {eta} left";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    Bar(ProgressBar::new(total).with_style(style).with_message(what))
}

impl Bar {
    /// So many more are done.
    pub(crate) fn add(&self, count: u64) {
        self.0.inc(count);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
