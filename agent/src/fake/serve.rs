//! The answering side.

use super::wire::{Answer, Call};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// Answers the calls of one process until it ends.
///
/// # Errors
/// The connection breaks, or a line is no call.
pub fn serve(stream: TcpStream, mut answer: impl FnMut(&Call) -> Answer) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while serve_once(&mut reader, &mut stream, &mut answer)? {}
    Ok(())
}

/// Answers one call; says whether there was one.
///
/// # Errors
/// The connection breaks, or a line is no call.
pub fn serve_once(
    reader: &mut impl BufRead,
    writer: &mut impl Write,
    answer: &mut impl FnMut(&Call) -> Answer,
) -> io::Result<bool> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(false);
    }
    let mut said = serde_json::to_string(&answer(&serde_json::from_str(&line)?))?;
    said.push('\n');
    writer.write_all(said.as_bytes())?;
    Ok(true)
}
