// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest said, and when: one character device, heard by a thread.
//!
//! QEMU waits for whoever reads its character devices, so a thread drains them
//! at once, notes the moment of each arrival and writes the log. (QEMU's own
//! `logfile` repeats a byte whenever its socket was full.) It refuses to
//! interpret.
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Result;

/// A character device of the guest.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) log: PathBuf,
    /// Absent for the user's terminal, which only QEMU listens to.
    pub(crate) heard: Option<Heard>,
}

impl Channel {
    /// Returns everything said so far.
    pub(crate) fn text(&self) -> String {
        let bytes = match &self.heard {
            Some(heard) => heard.lock().bytes.clone(),
            None => fs::read(&self.log).unwrap_or_default(),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Our end of a channel, drained by a thread so that QEMU never waits for us.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) socket: UnixStream,
    shared: Arc<(Mutex<Transcript>, Condvar)>,
    /// Where the next wait begins to look.
    cursor: usize,
}

/// What a channel said, and when.
#[derive(Debug, Default)]
struct Transcript {
    bytes: Vec<u8>,
    /// Length of `bytes` after each arrival.
    arrivals: Vec<(usize, Instant)>,
    closed: bool,
}

#[derive(Debug)]
pub(crate) enum Wait {
    Found(usize, Instant),
    Closed,
    TimedOut,
}

impl Heard {
    /// Starts to listen to `socket` and to write the log.
    pub(crate) fn new(socket: UnixStream, log: File) -> Result<Self> {
        let shared = Arc::new((Mutex::new(Transcript::default()), Condvar::new()));
        let reader = socket.try_clone()?;
        let writer = Arc::clone(&shared);
        thread::spawn(move || drain(reader, log, &writer));
        Ok(Self {
            socket,
            shared,
            cursor: 0,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Transcript> {
        // A reader that panicked leaves a shorter transcript, never a wrong one.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the first of `needles`; with none, for the end of the channel.
    pub(crate) fn wait(&mut self, needles: &[&str], deadline: Instant) -> Wait {
        let shared = Arc::clone(&self.shared);
        let mut transcript = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((index, end)) = transcript.find(needles, self.cursor) {
                self.cursor = end;
                return Wait::Found(index, transcript.arrival(end));
            }
            if transcript.closed {
                return Wait::Closed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Wait::TimedOut;
            }
            let woken = shared.1.wait_timeout(transcript, left);
            transcript = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Transcript {
    /// Finds the needle that ends first: its index and its end.
    fn find(&self, needles: &[&str], from: usize) -> Option<(usize, usize)> {
        let position = |needle: &str| {
            let mut windows = self.bytes[from..].windows(needle.len());
            windows
                .position(|window| window == needle.as_bytes())
                .map(|at| from + at + needle.len())
        };
        let found = needles.iter().enumerate();
        found
            .filter_map(|(index, needle)| Some((index, position(needle)?)))
            .min_by_key(|(_, end)| *end)
    }

    /// Returns when the byte before `end` arrived.
    fn arrival(&self, end: usize) -> Instant {
        let at = self.arrivals.partition_point(|(length, _)| *length < end);
        self.arrivals[at].1
    }
}

fn drain(mut socket: UnixStream, mut log: File, shared: &(Mutex<Transcript>, Condvar)) {
    let mut buffer = [0; 4096];
    loop {
        let count = match socket.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(count) => count,
            Err(_) => 0,
        };
        // A full disk must not cost the verdict, which is judged in memory.
        let _ = log.write_all(&buffer[..count]);
        let mut transcript = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        transcript.bytes.extend_from_slice(&buffer[..count]);
        let length = transcript.bytes.len();
        transcript.arrivals.push((length, Instant::now()));
        transcript.closed = count == 0;
        shared.1.notify_all();
        if count == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn heard(text: &[u8]) -> Result<(Heard, UnixStream)> {
        let (ours, mut theirs) = UnixStream::pair()?;
        theirs.write_all(text)?;
        Ok((Heard::new(ours, tempfile::tempfile()?)?, theirs))
    }

    #[test]
    fn waits_continue_where_the_last_one_ended() -> Result<()> {
        let (mut heard, mut guest) = heard(b"one two ")?;
        let deadline = Instant::now() + LIMIT;
        assert!(matches!(
            heard.wait(&["two", "one"], deadline),
            Wait::Found(1, _)
        ));
        assert!(matches!(heard.wait(&["two"], deadline), Wait::Found(0, _)));
        guest.write_all(b"one")?;
        assert!(matches!(heard.wait(&["one"], deadline), Wait::Found(0, _)));
        let soon = Instant::now() + Duration::from_millis(10);
        assert!(matches!(heard.wait(&["one"], soon), Wait::TimedOut));
        drop(guest);
        assert!(matches!(heard.wait(&["one"], deadline), Wait::Closed));
        Ok(())
    }
}
