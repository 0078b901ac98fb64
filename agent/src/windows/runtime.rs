//! The kubelet and the container runtime, by their own answers.

use super::WindowsHost;
use super::border::{Doing, unexpected};
use crate::host::{HostResult, Runtime};
use crate::shape::numbers::http_status;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The kubelet's `--healthz-port`, by default.
const KUBELET: u16 = 10_248;

/// containerd's address on Windows, by default.
const CONTAINERD: &str = r"\\.\pipe\containerd-containerd";

/// How long the kubelet may take, ours: it answers from memory.
const PATIENCE: Duration = Duration::from_secs(2);

/// `ERROR_PIPE_BUSY`: every instance serves somebody, so somebody serves.
const PIPE_BUSY: u32 = 0x8007_00E7;

/// The status of a `GET` on the loopback address.
fn status(port: u16, path: &str) -> HostResult<u16> {
    let what = format!("http://127.0.0.1:{port}{path}");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).doing(&what)?;
    stream.set_read_timeout(Some(PATIENCE)).doing(&what)?;
    stream.set_write_timeout(Some(PATIENCE)).doing(&what)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).doing(&what)?;
    let mut answer = [0; 256];
    let count = stream.read(&mut answer).doing(&what)?;
    http_status(answer.get(..count).unwrap_or_default()).ok_or_else(|| unexpected(format!("{what}: no HTTP answer")))
}

impl Runtime for WindowsHost {
    fn kubelet_health(&self) -> HostResult<u16> {
        status(KUBELET, "/healthz")
    }

    fn runtime_answers(&self) -> HostResult<bool> {
        match OpenOptions::new().read(true).write(true).open(CONTAINERD).doing("containerd") {
            Ok(_) => Ok(true),
            Err(e) if e.hresult == PIPE_BUSY => Ok(true),
            Err(e) if super::border::is_absent(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn the_status_is_what_the_server_says() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.read(&mut [0; 256]);
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").expect("an answer");
        });
        assert_eq!(status(port, "/healthz"), Ok(503));
        assert!(status(port, "/healthz").is_err(), "nobody listens any more");
    }
}
