//! The program itself, against servers on the loopback: every end that a request can come to.

#![allow(clippy::expect_used, clippy::panic)] // Clippy does not know helpers of tests as tests.

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// The program's exit code and what it printed; it must be one line that the operator can read in whole.
fn probe(args: &[&str]) -> (i32, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_windlass-probe"));
    // Nobody answers there: a program that used them would fail.
    program.envs(["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"].map(|name| (name, "http://127.0.0.1:9")));
    let output = program.arg("http").args(args).env_remove("WINDLASS_EXTRA_CA_CERTS").output().expect("the program");
    let line = String::from_utf8(output.stdout.clone()).expect("text");
    let (line, rest) = line.split_once('\n').expect("a line");
    assert!(rest.is_empty() && line.len() <= 400 && output.stderr.is_empty(), "{output:?}");
    (output.status.code().expect("an end of its own"), line.to_owned())
}

/// Serves each connection by `serve`, until the test ends.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

/// Reads a request's head and answers with this.
fn answer(mut stream: impl Read + Write, answer: &str) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
    String::from_utf8_lossy(&head).into_owned()
}

fn answers(text: &'static str) -> SocketAddr {
    server(move |stream| drop(answer(stream, text)))
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn the_expected_status_passes() {
    let address = answers(OK);
    let (code, line) = probe(&["--url", &format!("http://joe:secret@{address}/healthz?token=secret")]);
    assert!(code == 0 && line.starts_with(&format!("http://{address}/healthz: status 200 after ")), "{code} {line}");
    let address = answers("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(probe(&["--url", &format!("http://{address}"), "--expect-status", "200,204"]).0, 0);
}

#[test]
fn user_info_is_sent_and_redirects_are_not_followed() {
    let address = server(|stream| {
        let mut to = stream.try_clone().expect("a stream");
        let head = answer(stream, "");
        let known = head.contains("\r\nAuthorization: Basic am9lOnNlY3JldA==\r\n");
        let status =
            if known { "302 Found\r\nLocation: https://joe:secret@login.example/x?y=secret" } else { "401 No" };
        to.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).expect("an answer");
    });
    let url = format!("http://joe:secret@{address}/");
    let want = format!("http://{address}/: status 302 to https://login.example/x, expected was 200");
    assert_eq!(probe(&["--url", &url]), (1, want));
    assert_eq!(probe(&["--url", &url, "--expect-status", "302"]).0, 0);
}

#[test]
fn another_status_fails() {
    let address = answers("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let want = format!("http://{address}/: status 503, expected was 200 or 204");
    assert_eq!(probe(&["--url", &format!("http://{address}/"), "--expect-status", "200,204"]), (1, want));
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let (code, line) = probe(&["--url", &format!("http://{address}/")]);
    assert!(code == 1 && line.contains(&format!(": no connection to {address}: ")), "{code} {line}");
}

#[test]
fn the_time_holds_for_all_of_it_and_the_phase_is_told() {
    // Its head comes for ever, a byte at a time.
    let address = server(|mut stream| {
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().map(|address| (address, silent)).expect("an address");
    for (url, want) in [
        (format!("http://{}/", silent.0), "waiting for the answer"),
        (format!("https://{}/", silent.0), "in the TLS handshake"),
        (format!("https://{address}/"), "TLS failed"),
    ] {
        let started = Instant::now();
        let (code, line) = probe(&["--url", &url, "--timeout", "400ms"]);
        let told = line.contains(want) && (want == "TLS failed" || line.contains(": timed out after 400 ms, "));
        assert!(code == 1 && told, "{code} {line}");
        assert!(started.elapsed() < Duration::from_mins(1), "{line}");
    }
}

#[test]
fn what_is_no_http_fails() {
    for (text, want) in
        [("SSH-2.0-OpenSSH_9.9\r\n", "no answer of HTTP: "), ("", "the connection ended after 0 bytes of it")]
    {
        let (code, line) = probe(&["--url", &format!("http://{}/", answers(text))]);
        assert!(code == 1 && line.contains(want), "{code} {line}");
    }
}

/// `.invalid` is nobody's (RFC 6761). Where there is no DNS at all, the answer may not come in time.
#[test]
fn a_name_that_nobody_has_is_told() {
    let (code, line) = probe(&["--url", "http://shop.invalid/", "--timeout", "2s"]);
    let late = "http://shop.invalid/: timed out after 2 s, looking up the name of its host";
    assert!(
        code == 1 && (line.starts_with("http://shop.invalid/: the name shop.invalid was not found: ") || line == late),
        "{line}"
    );
}

#[test]
fn bad_arguments_are_named() {
    for (args, want) in
        [(&["--url", "nonsense"][..], "--url"), (&["--url", "http://a/", "--timeout", "soon"], "--timeout")]
    {
        let (code, line) = probe(args);
        assert!(code == 2 && line.contains(want), "{code} {line}");
    }
}

#[test]
fn a_certificate_counts_when_somebody_known_vouches_for_it() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key));
    let config = Arc::new(config.expect("TLS"));
    let address = server(move |stream| {
        let tls = ServerConnection::new(Arc::clone(&config)).expect("TLS");
        answer(StreamOwned::new(tls, stream), OK);
    });
    let file = std::env::temp_dir().join(format!("windlass-probe-{}.pem", std::process::id()));
    fs::write(&file, made.cert.pem()).expect("a file");
    let name = file.to_str().expect("text");
    let url = format!("https://localhost:{}/", address.port());
    let (code, line) = probe(&["--url", &url]);
    assert!(code == 1 && line.ends_with(": TLS failed: invalid peer certificate: UnknownIssuer"), "{code} {line}");
    let (code, line) = probe(&["--url", &url, "--extra-ca-certs", name]);
    assert!(code == 0 && line.contains(": status 200 after "), "{code} {line}");
    let (code, line) = probe(&["--url", &format!("https://{address}/"), "--extra-ca-certs", name]);
    assert!(code == 1 && line.contains(": TLS failed: invalid peer certificate: "), "another name: {code} {line}");
    fs::remove_file(&file).expect("it is ours");
}
