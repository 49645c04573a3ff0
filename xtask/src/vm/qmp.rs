// SPDX-License-Identifier: MIT OR Apache-2.0
//! A QEMU monitor client: one JSON line out, one JSON line back.
//!
//! The published client crate compiles every command QEMU ever had and cannot
//! wait for an event with a deadline; xtask needs a few commands and one event.
//! It knows nothing of processes: whoever owns the socket owns the deadline.
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A connected monitor past its greeting.
#[derive(Debug)]
pub(crate) struct Monitor {
    socket: BufReader<UnixStream>,
    deadline: Instant,
    events: Vec<Value>,
}

impl Monitor {
    /// Reads the greeting and leaves capability negotiation.
    ///
    /// An error here means that QEMU ended before its machine was built.
    pub(crate) fn connect(socket: UnixStream, deadline: Instant) -> Result<Self> {
        let mut monitor = Self {
            socket: BufReader::new(socket),
            deadline,
            events: Vec::new(),
        };
        let greeting = monitor.message()?.context("the monitor closed")?;
        if greeting.get("QMP").is_none() {
            bail!("the monitor greeted with {greeting}");
        }
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Moves the deadline of what follows.
    pub(crate) const fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Runs one command and returns its answer.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        // In one piece: QEMU obeys at the last brace, and may be gone before a
        // line end that comes later.
        let request = json!({"execute": command, "arguments": arguments}).to_string() + "\n";
        self.socket
            .get_mut()
            .write_all(request.as_bytes())
            .with_context(|| format!("monitor command {command}"))?;
        loop {
            let mut message = self
                .message()?
                .with_context(|| format!("QEMU ended during monitor command {command}"))?;
            if message.get("event").is_some() {
                self.events.push(message);
            } else if let Some(error) = message.get("error") {
                bail!("monitor command {command} failed: {}", error["desc"]);
            } else {
                return Ok(message["return"].take());
            }
        }
    }

    /// Runs a command of the human monitor, for what QMP cannot tell.
    pub(crate) fn human(&mut self, command: &str) -> Result<String> {
        let said = self.execute("human-monitor-command", json!({ "command-line": command }))?;
        Ok(said.as_str().unwrap_or_default().to_owned())
    }

    /// Reads to the end of the connection and returns why QEMU shut down.
    ///
    /// `-no-reboot` turns a reset into exit code 0: only this tells them apart.
    pub(crate) fn shutdown_reason(&mut self) -> Result<Option<String>> {
        while let Some(message) = self.message()? {
            self.events.push(message);
        }
        let shutdown = self
            .events
            .iter()
            .find(|event| event["event"] == "SHUTDOWN");
        Ok(shutdown.and_then(|event| Some(event["data"]["reason"].as_str()?.to_owned())))
    }

    /// Reads one message; `None` is the end of the connection.
    fn message(&mut self) -> Result<Option<Value>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("the monitor did not answer before the deadline");
        }
        self.socket.get_ref().set_read_timeout(Some(left))?;
        let mut line = String::new();
        match self.socket.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => serde_json::from_str(&line)
                .map(Some)
                .with_context(|| format!("the monitor said {line:?}")),
            // A killed QEMU leaves our unread command behind: still its end.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("the monitor did not answer before the deadline")
            }
            Err(error) => Err(error).context("reading the monitor"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Connects a monitor to a QEMU that says `lines` and leaves.
    fn monitor(lines: &str) -> Result<Monitor> {
        let (ours, mut theirs) = UnixStream::pair()?;
        theirs.write_all(lines.as_bytes())?;
        theirs.shutdown(std::net::Shutdown::Write)?;
        let monitor = Monitor::connect(ours, Instant::now() + Duration::from_secs(5));
        drop(theirs);
        monitor
    }

    const HELLO: &str = "{\"QMP\": {}}\n{\"return\": {}}\n";

    #[test]
    fn keeps_events_that_arrive_before_the_answer() -> Result<()> {
        let (ours, mut theirs) = UnixStream::pair()?;
        theirs.write_all(HELLO.as_bytes())?;
        let event = json!({"event": "SHUTDOWN", "data": {"reason": "guest-reset"}});
        let answer = json!({"return": {"status": "shutdown"}});
        write!(theirs, "{event}\n{answer}\n")?;
        let mut monitor = Monitor::connect(ours, Instant::now() + Duration::from_secs(5))?;
        assert_eq!(
            monitor.execute("query-status", json!({}))?["status"],
            "shutdown"
        );
        drop(theirs);
        assert_eq!(monitor.shutdown_reason()?.as_deref(), Some("guest-reset"));
        Ok(())
    }

    #[test]
    fn an_exit_without_event_has_no_reason() -> Result<()> {
        assert_eq!(monitor(HELLO)?.shutdown_reason()?, None);
        Ok(())
    }

    #[test]
    fn a_closed_monitor_is_an_error() {
        assert!(monitor("").is_err());
    }

    #[test]
    fn a_silent_monitor_meets_the_deadline() -> Result<()> {
        let (ours, _theirs) = UnixStream::pair()?;
        let error = Monitor::connect(ours, Instant::now() + Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("deadline"), "{error}");
        Ok(())
    }
}
