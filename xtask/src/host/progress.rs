// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shows on a terminal that something is going on, once it takes over two seconds.

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

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
