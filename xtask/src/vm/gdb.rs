// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client of QEMU's gdbstub: reads and changes a guest from outside.
//!
//! Only what a test needs: memory, physical or through the page tables,
//! registers, breakpoints, watchpoints, go and stop. Attaching stops the guest.
//! It refuses to guess: every answer that is not the expected one is an error.
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use base16ct::lower::encode_string;

use crate::machine::Machine;

/// Bytes in one memory packet: QEMU's packet limit is 4096 characters of hex.
const CHUNK: usize = 1024;

/// A register of x86-64, as numbered by QEMU's target description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Register {
    Rax = 0,
    Rcx = 2,
    Rdx = 3,
    Rsp = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
    R11 = 11,
    /// This and those behind it have 32 bits.
    Rflags = 17,
    Cs = 18,
    Ss = 19,
}

impl Register {
    const fn size(self) -> usize {
        match self {
            Self::Rflags | Self::Cs | Self::Ss => 4,
            _ => 8,
        }
    }
}

/// What became of a guest that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Now {
    Runs,
    Stopped,
    /// It is gone, and its QEMU with it.
    Ended,
}

/// What a watchpoint waits for, as numbered by gdb's `Z` packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Write = 2,
    Read = 3,
}

/// An attached debugger; the guest is stopped unless [`Debugger::resume`] ran.
pub(crate) struct Debugger {
    socket: BufReader<UnixStream>,
    deadline: Instant,
    machine: &'static Machine,
    /// Those that are set.
    watchpoints: Vec<(Watch, u64)>,
}

impl Debugger {
    /// Attaches to the stub that listens on `path`, which stops the guest.
    pub(crate) fn attach(
        path: &Path,
        machine: &'static Machine,
        deadline: Instant,
    ) -> Result<Self> {
        let socket = UnixStream::connect(path)
            .with_context(|| format!("no gdbstub on {}", path.display()))?;
        let mut debugger = Self {
            socket: BufReader::new(socket),
            deadline,
            machine,
            watchpoints: Vec::new(),
        };
        debugger.send("?")?;
        debugger.wait_stop()?;
        // Older ones tell single registers only to those who know how to read them.
        debugger.command("qXfer:features:read:target.xml:0,1")?;
        Ok(debugger)
    }

    /// Makes memory accesses physical, or subject to the guest's page tables.
    pub(crate) fn physical(&mut self, physical: bool) -> Result<()> {
        self.accept(&format!("Qqemu.PhyMemMode:{}", u8::from(physical)))
    }

    /// Reads memory.
    pub(crate) fn read(&mut self, address: u64, size: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            let length = CHUNK.min(size - bytes.len());
            let from = address + bytes.len() as u64;
            let answer = self.command(&format!("m{from:x},{length:x}"))?;
            let part = decode(&answer).with_context(|| format!("memory at {from:#x}"))?;
            ensure!(part.len() == length, "memory at {from:#x}: short answer");
            bytes.extend(part);
        }
        Ok(bytes)
    }

    /// Writes memory.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        let mut to = address;
        for part in bytes.chunks(CHUNK) {
            self.accept(&format!("M{to:x},{:x}:{}", part.len(), encode_string(part)))?;
            to += part.len() as u64;
        }
        Ok(())
    }

    /// Inverts one bit of memory, `bit` counted from `address`.
    pub(crate) fn flip(&mut self, address: u64, bit: u64) -> Result<()> {
        let address = address + bit / 8;
        let byte = self.read(address, 1)?[0] ^ (1 << (bit % 8));
        self.write(address, &[byte])
    }

    /// Reads the program counter.
    pub(crate) fn pc(&mut self) -> Result<u64> {
        let answer = self.command(&format!("p{:x}", self.machine.pc))?;
        let bytes = decode(&answer)?.try_into();
        let bytes = bytes.map_err(|_| anyhow::anyhow!("the program counter has no 8 bytes"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Changes the program counter.
    pub(crate) fn set_pc(&mut self, value: u64) -> Result<()> {
        let value = encode_string(&value.to_le_bytes());
        self.accept(&format!("P{:x}={value}", self.machine.pc))
    }

    /// Reads one register.
    pub(crate) fn register(&mut self, register: Register) -> Result<u64> {
        let bytes = decode(&self.command(&format!("p{:x}", register as usize))?)?;
        let size = register.size();
        ensure!(bytes.len() == size, "{register:?} has no {size} bytes");
        let mut value = [0; 8];
        value[..size].copy_from_slice(&bytes);
        Ok(u64::from_le_bytes(value))
    }

    /// Changes one register.
    pub(crate) fn set_register(&mut self, register: Register, value: u64) -> Result<()> {
        let value = encode_string(&value.to_le_bytes()[..register.size()]);
        self.accept(&format!("P{:x}={value}", register as usize))
    }

    /// Stops the guest at each access to the 32-bit word at `address` (virtual).
    pub(crate) fn set_watchpoint(&mut self, watch: Watch, address: u64) -> Result<()> {
        self.watchpoints.push((watch, address));
        self.accept(&format!("Z{},{address:x},4", watch as u8))
    }

    /// Stops it there no longer.
    pub(crate) fn clear_watchpoint(&mut self, watch: Watch, address: u64) -> Result<()> {
        self.watchpoints.retain(|known| *known != (watch, address));
        self.accept(&format!("z{},{address:x},4", watch as u8))
    }

    /// Plants a hardware breakpoint, which no copy of the code can overwrite.
    pub(crate) fn set_breakpoint(&mut self, address: u64) -> Result<()> {
        self.accept(&format!("Z1,{address:x},1"))
    }

    /// Removes a hardware breakpoint.
    pub(crate) fn clear_breakpoint(&mut self, address: u64) -> Result<()> {
        self.accept(&format!("z1,{address:x},1"))
    }

    /// Lets the guest run.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.send("c")
    }

    /// Lets the guest execute one instruction, or one iteration of a repeated one.
    pub(crate) fn step(&mut self) -> Result<()> {
        self.send("s")?;
        self.wait_stop()
    }

    /// Waits until a running guest stops at a breakpoint.
    pub(crate) fn wait_stop(&mut self) -> Result<()> {
        let answer = self.receive()?;
        match answer.as_bytes().first() {
            Some(b'T' | b'S') => self.behind(&answer),
            Some(b'W' | b'X') => bail!("QEMU ended while a breakpoint was awaited"),
            _ => bail!("gdbstub said {answer:?}"),
        }
    }

    /// Waits for a while, within the deadline, until a running guest stops, or ends.
    pub(crate) fn wait_for(&mut self, time: Duration) -> Result<Now> {
        loop {
            self.socket.get_ref().set_read_timeout(Some(time))?;
            match self.socket.fill_buf() {
                Ok([]) => return Ok(Now::Ended),
                // That it runs was acknowledged.
                Ok([b'+', ..]) => self.socket.consume(1),
                Ok(_) => break,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock if Instant::now() < self.deadline => {
                        return Ok(Now::Runs);
                    }
                    ErrorKind::WouldBlock => bail!("the guest still ran at the deadline"),
                    ErrorKind::ConnectionReset => return Ok(Now::Ended),
                    _ => return Err(error).context("reading from the gdbstub"),
                },
            }
        }
        let answer = self.receive()?;
        match answer.as_bytes().first() {
            Some(b'T' | b'S') => self.behind(&answer).map(|()| Now::Stopped),
            Some(b'W' | b'X') => Ok(Now::Ended),
            _ => bail!("gdbstub said {answer:?}"),
        }
    }

    /// Goes to behind a watched access, where QEMU stopped in front of it.
    fn behind(&mut self, answer: &str) -> Result<()> {
        if self.machine.stops_early && answer.contains("watch:") {
            let watchpoints = self.watchpoints.clone();
            for (watch, address) in &watchpoints {
                self.clear_watchpoint(*watch, *address)?;
            }
            self.step()?;
            for (watch, address) in watchpoints {
                self.set_watchpoint(watch, address)?;
            }
        }
        Ok(())
    }

    /// Stops a running guest.
    pub(crate) fn interrupt(&mut self) -> Result<()> {
        self.socket.get_mut().write_all(&[3])?;
        self.wait_stop()
    }

    fn accept(&mut self, payload: &str) -> Result<()> {
        let answer = self.command(payload)?;
        ensure!(
            answer == "OK",
            "gdbstub answered {answer:?} to {payload:.40}"
        );
        Ok(())
    }

    /// Returns the answer to a command that the guest stays stopped for. QEMU before
    /// 8.1 also announces stops that nobody waits for.
    fn command(&mut self, payload: &str) -> Result<String> {
        self.send(payload)?;
        loop {
            let answer = self.receive()?;
            if !answer.starts_with('T') {
                return Ok(answer);
            }
        }
    }

    fn send(&mut self, payload: &str) -> Result<()> {
        let packet = format!("${payload}#{:02x}", checksum(payload.as_bytes()));
        self.socket
            .get_mut()
            .write_all(packet.as_bytes())
            .context("writing to the gdbstub")
    }

    /// Reads one packet, past acknowledgements, and acknowledges it.
    fn receive(&mut self) -> Result<String> {
        while self.byte()? != b'$' {}
        let mut payload = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => payload.push(byte),
            }
        }
        let sum = [self.byte()?, self.byte()?];
        ensure!(
            decode(str::from_utf8(&sum)?)? == [checksum(&payload)],
            "gdbstub sent a packet with a wrong checksum"
        );
        let acknowledged = self.socket.get_mut().write_all(b"+");
        // A stub that says that it ends does not stay to hear it.
        if !payload.starts_with(b"W") {
            acknowledged?;
        }
        Ok(String::from_utf8(payload)?)
    }

    fn byte(&mut self) -> Result<u8> {
        if self.socket.buffer().is_empty() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            ensure!(
                !left.is_zero(),
                "the gdbstub did not answer before the deadline"
            );
            self.socket.get_ref().set_read_timeout(Some(left))?;
        }
        let mut byte = [0];
        match self.socket.read_exact(&mut byte) {
            Ok(()) => Ok(byte[0]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("the gdbstub did not answer before the deadline")
            }
            Err(error) => Err(error).context("reading from the gdbstub"),
        }
    }
}

fn checksum(payload: &[u8]) -> u8 {
    payload.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn decode(hex: &str) -> Result<Vec<u8>> {
    base16ct::lower::decode_vec(hex).map_err(|_| anyhow::anyhow!("gdbstub answered {hex:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A debugger whose stub has already said `answers`.
    fn debugger(answers: &[u8]) -> Result<(Debugger, UnixStream)> {
        let (ours, mut stub) = UnixStream::pair()?;
        stub.write_all(answers)?;
        let socket = BufReader::new(ours);
        let deadline = Instant::now() + Duration::from_millis(200);
        let debugger = Debugger {
            socket,
            deadline,
            machine: crate::machine::of(blob::arch::Arch::ALL[0]),
            watchpoints: Vec::new(),
        };
        Ok((debugger, stub))
    }

    #[test]
    fn frames_a_packet_and_reads_past_acknowledgements() -> Result<()> {
        let (mut debugger, mut stub) = debugger(b"+$OK#9a")?;
        debugger.physical(true)?;
        let mut sent = [0; 23];
        stub.read_exact(&mut sent)?;
        assert_eq!(&sent, b"$Qqemu.PhyMemMode:1#77+");
        Ok(())
    }

    #[test]
    fn reads_past_stops_that_nobody_waits_for() -> Result<()> {
        let (mut debugger, _stub) = debugger(b"$T05thread:01;#07$OK#9a")?;
        debugger.physical(true)
    }

    #[test]
    fn registers_have_their_sizes() -> Result<()> {
        let flags = Register::Rflags;
        assert_eq!(debugger(b"$02060000#88")?.0.register(flags)?, 0x602);
        let (mut short, _stub) = debugger(b"$02060000#88")?;
        assert!(short.register(Register::Rax).is_err());
        let (mut debugger, mut stub) = debugger(b"$OK#9a")?;
        debugger.set_register(flags, 0x602)?;
        let mut sent = [0; 17];
        stub.read_exact(&mut sent)?;
        assert_eq!(&sent, b"$P11=02060000#77+");
        Ok(())
    }

    #[test]
    fn tells_a_guest_that_runs_from_one_that_stopped_or_ended() -> Result<()> {
        let soon = Duration::from_millis(10);
        let (mut runs, _stub) = debugger(b"+")?;
        assert_eq!(runs.wait_for(soon)?, Now::Runs);
        let (mut stopped, _stub) = debugger(b"+$T05#b9")?;
        assert_eq!(stopped.wait_for(soon)?, Now::Stopped);
        let (mut ended, _stub) = debugger(b"$W00#b7")?;
        assert_eq!(ended.wait_for(soon)?, Now::Ended);
        let (mut wrong, _stub) = debugger(b"$OK#9a")?;
        assert!(wrong.wait_for(soon).is_err());
        let (mut gone, stub) = debugger(b"+")?;
        drop(stub);
        assert_eq!(gone.wait_for(soon)?, Now::Ended);
        Ok(())
    }

    #[test]
    fn refuses_a_wrong_checksum_an_error_and_silence() -> Result<()> {
        assert!(debugger(b"$OK#9b")?.0.physical(true).is_err());
        assert!(debugger(b"$E22#a9")?.0.read(0, 1).is_err());
        let (mut quiet, _stub) = debugger(b"")?;
        assert!(
            quiet
                .wait_stop()
                .unwrap_err()
                .to_string()
                .contains("deadline")
        );
        Ok(())
    }
}
