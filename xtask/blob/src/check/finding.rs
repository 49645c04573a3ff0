// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a check found out about one promise.

/// How many details of one kind are printed; a hostile file has thousands.
const DETAILS_MAX: usize = 8;

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// The promise is kept.
    Held,
    /// It is not.
    Broken,
    /// Works today, or cannot be told from the file.
    Doubtful,
    /// It could not be judged.
    Skipped,
    /// Not a promise of this blob.
    Informed,
}

impl Grade {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Held => "ok",
            Self::Broken => "FAIL",
            Self::Doubtful => "warn",
            Self::Skipped => "skip",
            Self::Informed => "info",
        }
    }
}

/// Collected while a check runs; nothing collected means the promise is held.
#[derive(Debug, Default)]
pub(super) struct Finding {
    broken: Vec<String>,
    doubtful: Vec<String>,
    skipped: Option<String>,
    note: Option<String>,
    listing: Vec<String>,
    information: bool,
}

impl Finding {
    pub(super) fn broken(&mut self, what: impl Into<String>) {
        self.broken.push(what.into());
    }

    pub(super) fn doubtful(&mut self, what: impl Into<String>) {
        self.doubtful.push(what.into());
    }

    /// Records that the promise could not be judged.
    pub(super) fn skipped(&mut self, reason: impl Into<String>) {
        self.skipped = Some(reason.into());
    }

    /// Adds a figure to a promise that is held.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.note = Some(note.into());
    }

    /// Adds a line for those who want to see everything that was looked at.
    pub(super) fn list(&mut self, line: impl Into<String>) {
        self.listing.push(line.into());
    }

    pub(super) fn listing(&self) -> &[String] {
        &self.listing
    }

    /// Makes it information: the blob never promised this.
    pub(super) const fn inform(&mut self) {
        self.information = true;
    }

    pub(super) const fn grade(&self) -> Grade {
        if self.information {
            Grade::Informed
        } else if !self.broken.is_empty() {
            Grade::Broken
        } else if !self.doubtful.is_empty() {
            Grade::Doubtful
        } else if self.skipped.is_some() {
            Grade::Skipped
        } else {
            Grade::Held
        }
    }

    /// Returns what to print, the verdict's own kind first.
    pub(super) fn details(&self) -> impl Iterator<Item = String> {
        let found = [&self.broken, &self.doubtful];
        let all = found.into_iter().flatten().cloned();
        let total = found.map(Vec::len).iter().sum::<usize>();
        let rest = total.saturating_sub(DETAILS_MAX);
        let more = (rest > 0).then(|| format!("and {rest} more"));
        let other = self.skipped.as_ref().or(self.note.as_ref());
        let other = other.filter(|_| total == 0).cloned();
        all.take(DETAILS_MAX).chain(more).chain(other)
    }
}
