//! One request and the head of its answer.

use crate::target::{Target, shown};
use crate::trouble::{Phase, Trouble};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Longest head of an answer, in bytes, and its most fields: four times what servers commonly send at most.
const MAX_HEAD: usize = 32 << 10;
const MAX_FIELDS: usize = 256;

/// What a URL answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    location: Option<String>,
}

impl Answer {
    /// Its status, if that is one of these.
    pub fn expect(self, expected: &[u16]) -> Result<u16, Trouble> {
        if expected.contains(&self.status) {
            return Ok(self.status);
        }
        Err(Trouble::Status { got: self.status, to: self.location, expected: expected.to_vec() })
    }
}

/// Asks, and waits no longer than `timeout` whatever happens: looking up a name can not be given a time, so all of it
/// goes on in a thread that is left behind then.
pub fn get(target: &Target, trust: Option<Arc<ClientConfig>>, timeout: Duration) -> Result<Answer, Trouble> {
    let phase = Arc::new(Mutex::new(Phase::Name));
    let (end, ended) = mpsc::channel();
    let (target, at) = (target.clone(), Arc::clone(&phase));
    thread::spawn(move || {
        let enter = |phase| *at.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        let _ = end.send(exchange(&target, trust, timeout, &enter));
    });
    ended.recv_timeout(timeout).unwrap_or_else(|_| {
        let phase = *phase.lock().unwrap_or_else(PoisonError::into_inner);
        Err(Trouble::TimedOut { after: timeout, phase })
    })
}

fn exchange(
    target: &Target,
    trust: Option<Arc<ClientConfig>>,
    timeout: Duration,
    enter: &dyn Fn(Phase),
) -> Result<Answer, Trouble> {
    let name_trouble = |source| Trouble::Name { host: target.host.clone(), source };
    let addresses: Vec<_> = (target.host.as_str(), target.port).to_socket_addrs().map_err(name_trouble)?.collect();
    let mut connection = connect(&addresses, timeout, enter)
        .unwrap_or_else(|| Err(name_trouble(io::Error::other("it has no address"))))?;
    let Some(trust) = trust else {
        enter(Phase::Answer);
        return ask(connection, &target.request);
    };
    enter(Phase::Tls);
    let host = ServerName::try_from(target.host.clone()).map_err(|error| Trouble::Tls(error.to_string()))?;
    let mut tls = ClientConnection::new(trust, host).map_err(|error| Trouble::Tls(error.to_string()))?;
    tls.complete_io(&mut connection).map_err(|error| Trouble::Tls(error.to_string()))?;
    enter(Phase::Answer);
    ask(StreamOwned::new(tls, connection), &target.request)
}

/// Tries one address after the other, each for its share of the time: one that swallows everything is not to hide the next.
fn connect(addresses: &[SocketAddr], timeout: Duration, enter: &dyn Fn(Phase)) -> Option<Result<TcpStream, Trouble>> {
    let share = timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = None;
    for &address in addresses {
        let phase = Phase::Connect(address);
        enter(phase);
        match TcpStream::connect_timeout(&address, share) {
            Ok(connection) => return Some(Ok(connection)),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => last = Some(Trouble::TimedOut { after: share, phase }),
            Err(source) => last = Some(Trouble::Connect { address, source }),
        }
    }
    last.map(Err)
}

fn ask(mut stream: impl Read + Write, request: &str) -> Result<Answer, Trouble> {
    let io_trouble = |error: io::Error| Trouble::Answer(error.to_string());
    stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).map_err(io_trouble)?;
    let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
    while head.len() < MAX_HEAD {
        let read = stream.read(&mut chunk).map_err(io_trouble)?;
        if read == 0 {
            return Err(Trouble::Answer(format!("the connection ended after {} bytes of it", head.len())));
        }
        head.extend_from_slice(&chunk[..read]);
        if let Some(answer) = parse(&mut head)? {
            return Ok(answer);
        }
    }
    Err(Trouble::Answer(format!("its head has more than {MAX_HEAD} bytes")))
}

/// The final answer, once its head is there; one that only announces it (100 to 199) is dropped.
fn parse(head: &mut Vec<u8>) -> Result<Option<Answer>, Trouble> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(head).map_err(|error| Trouble::Answer(error.to_string()))?;
        let (httparse::Status::Complete(length), Some(status)) = (parsed, response.code) else { return Ok(None) };
        if status < 200 && status != 101 {
            head.drain(..length);
            continue;
        }
        let location = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("location"));
        let location = location.map(|field| shown(&String::from_utf8_lossy(field.value)));
        return Ok(Some(Answer { status, location }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_all_of_it_is_there() {
        let whole =
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 301 Moved\r\nLocation: https://a:b@c/d?e\r\n\r\nbody";
        let mut head = Vec::new();
        let mut answer = None;
        for byte in &whole[..whole.len() - 4] {
            assert_eq!(answer, None, "too early");
            head.push(*byte);
            answer = parse(&mut head).expect("HTTP");
        }
        assert_eq!(answer, Some(Answer { status: 301, location: Some("https://c/d".into()) }));
        assert!(parse(&mut b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()).is_err());
    }

    #[test]
    fn another_status_is_told_with_where_it_leads() {
        let answer = Answer { status: 301, location: Some("/login".into()) };
        assert_eq!(answer.clone().expect(&[200, 301]).expect("a pass"), 301);
        let trouble = answer.expect(&[200, 204]).expect_err("another one").to_string();
        assert_eq!(trouble, "status 301 to /login, expected was 200 or 204");
    }
}
