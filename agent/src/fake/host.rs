//! The asking side.

use super::wire::{Answer, Call};
use crate::host::{Host, HostError, HostResult};
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// `ERROR_NOT_READY`: the machine does not answer.
const NOT_READY: u32 = 0x8007_0015;

/// A machine at the other end of a connection, with some concerns of the real one.
pub(super) struct FakeHost {
    connection: RefCell<BufReader<TcpStream>>,
    real: Option<Box<dyn Host>>,
    concerns: Vec<String>,
}

impl FakeHost {
    /// Connects to the machine at `address`.
    pub fn connect(address: &str, real: Option<Box<dyn Host>>, concerns: Vec<String>) -> HostResult<Self> {
        let stream = TcpStream::connect(address).map_err(|e| gone(&e))?;
        // Each call is one small line that is waited for.
        stream.set_nodelay(true).map_err(|e| gone(&e))?;
        Ok(Self { connection: RefCell::new(BufReader::new(stream)), real, concerns })
    }

    /// The real machine, where the concern is its.
    pub fn real(&self, concern: &str) -> Option<&dyn Host> {
        self.real.as_deref().filter(|_| self.concerns.iter().any(|c| c == concern))
    }

    /// The real machine to act on, where the concern is its.
    pub fn real_mut(&mut self, concern: &str) -> Option<&mut Box<dyn Host>> {
        self.real.as_mut().filter(|_| self.concerns.iter().any(|c| c == concern))
    }

    /// Makes a call.
    pub fn ask<T: DeserializeOwned>(&self, call: &Call) -> HostResult<T> {
        let answer = self.exchange(call).map_err(|e| gone(&e))?;
        let value = answer.map_err(|(hresult, message)| HostError::new(hresult, message))?;
        serde_json::from_value(value).map_err(|e| HostError::new(NOT_READY, format!("{call:?}: {e}")))
    }

    fn exchange(&self, call: &Call) -> io::Result<Answer> {
        let mut connection = self.connection.borrow_mut();
        let mut line = serde_json::to_string(call)?;
        line.push('\n');
        connection.get_mut().write_all(line.as_bytes())?;
        line.clear();
        connection.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

fn gone(error: &io::Error) -> HostError {
    HostError::new(NOT_READY, format!("the machine does not answer: {error}"))
}
