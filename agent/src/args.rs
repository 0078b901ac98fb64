//! The command line.

use crate::folder::is_below;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use windlass_protocol::{MAX_REQUEST_BYTES, Request, RequestError};

/// Where files of requests must lie, below the agent's own folder.
pub const REQUESTS: &str = "requests";

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `--version`.
    Version,
    /// `selftest`: what of the agent works on this machine.
    Selftest,
    /// `task`: the process of the armed task; only Task Scheduler starts it.
    Task,
    /// A command with its request.
    Command(Box<Request>),
}

/// A command line this agent does not take. The text names the argument or field; the exit code is
/// [`windlass_protocol::exit::BAD_REQUEST`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Not `<command> --request <base64 or file>`.
    #[error(
        "usage: windlass-agent.exe <scan|stage|baseline|arm|collect|probe|reset> --request <base64 or file>, selftest, --version"
    )]
    Usage,
    /// The sub-command is not the request's.
    #[error("command: the command line says {line:?}, the request {request:?}")]
    Command {
        /// The sub-command on the command line.
        line: String,
        /// The request's command.
        request: &'static str,
    },
    /// An argument that is no text.
    #[error("argument {0}: not valid Unicode")]
    NotText(usize),
    /// The request itself.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Reads the arguments behind the program's name; files of requests lie below `folder`, the agent's own.
///
/// # Errors
/// [`ArgsError`], naming the argument or field.
pub fn read(args: &[OsString], folder: &Path) -> Result<Line, ArgsError> {
    let text = |(at, arg): (usize, &OsString)| arg.to_str().map(str::to_owned).ok_or(ArgsError::NotText(at + 1));
    let args: Vec<String> = args.iter().enumerate().map(text).collect::<Result<_, _>>()?;
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version" | "-V"] => Ok(Line::Version),
        ["selftest"] => Ok(Line::Selftest),
        ["task"] => Ok(Line::Task),
        _ => {
            parse_with(&args, |value| if is_file(value) { from_file(value, folder) } else { Request::from_arg(value) })
                .map(|request| Line::Command(Box::new(request)))
        }
    }
}

/// Reads `<command> --request <base64>`, the form in which the operator asks.
///
/// # Errors
/// [`ArgsError`], naming the argument or field.
pub fn parse(args: &[String]) -> Result<Request, ArgsError> {
    parse_with(args, Request::from_arg)
}

fn parse_with(
    args: &[String],
    request: impl FnOnce(&str) -> Result<Request, RequestError>,
) -> Result<Request, ArgsError> {
    let (command, value) = match args {
        [command, flag, value] if flag == "--request" => (command, value.as_str()),
        [command, joined] => (command, joined.strip_prefix("--request=").ok_or(ArgsError::Usage)?),
        _ => return Err(ArgsError::Usage),
    };
    let request = request(value)?;
    let named = request.command.name();
    if command == named { Ok(request) } else { Err(ArgsError::Command { line: command.clone(), request: named }) }
}

/// Whether a value is a path: base64 has none of these.
fn is_file(value: &str) -> bool {
    value.contains(['.', ':', '\\'])
}

/// Reads a file of a request, JSON, from below the agent's own folder: elsewhere anybody may have put it.
fn from_file(path: &str, folder: &Path) -> Result<Request, RequestError> {
    let allowed = folder.join(REQUESTS).to_string_lossy().into_owned();
    if !is_below(path, &allowed) {
        return Err(RequestError::Folder { field: "request", path: path.chars().take(256).collect(), allowed });
    }
    let size = fs::metadata(path).map_err(|e| RequestError::File(e.to_string()))?.len();
    if size > MAX_REQUEST_BYTES as u64 {
        return Err(RequestError::TooLarge(usize::try_from(size).unwrap_or(usize::MAX)));
    }
    Request::from_json(&fs::read(path).map_err(|e| RequestError::File(e.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_protocol::{Command, Ticket, VERSION};

    fn sample() -> Request {
        let ticket =
            Ticket { node_update_uid: "u".into(), step: "Stage".into(), round: 1, attempt: 1, challenge: "c".into() };
        Request { version: VERSION, node: "win-7".into(), ticket, command: Command::Reset {} }
    }

    fn line(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    fn os(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn reads_both_forms_of_the_flag() {
        let arg = sample().to_arg();
        assert_eq!(parse(&line(&["reset", "--request", &arg])), Ok(sample()));
        assert_eq!(parse(&line(&["reset", &format!("--request={arg}")])), Ok(sample()));
        let folder = Path::new("/nowhere");
        assert_eq!(read(&os(&["reset", "--request", &arg]), folder), Ok(Line::Command(Box::new(sample()))));
        for (word, want) in [("--version", Line::Version), ("selftest", Line::Selftest), ("task", Line::Task)] {
            assert_eq!(read(&os(&[word]), folder), Ok(want));
        }
    }

    #[test]
    fn refuses_and_names_the_argument() {
        let arg = sample().to_arg();
        assert_eq!(parse(&[]), Err(ArgsError::Usage));
        assert_eq!(parse(&line(&["reset", "--file", &arg])), Err(ArgsError::Usage));
        let other = parse(&line(&["arm", "--request", &arg])).expect_err("another command");
        assert!(other.to_string().starts_with("command:"), "{other}");
        assert!(matches!(parse(&line(&["reset", "--request", "%"])), Err(ArgsError::Request(RequestError::Base64(_)))));
    }

    #[test]
    fn a_file_is_read_from_the_agents_own_folder_only() {
        let folder = std::env::temp_dir().join(format!("windlass-args-{}", std::process::id()));
        let requests = folder.join(REQUESTS);
        fs::create_dir_all(&requests).expect("a folder");
        let file = requests.join("reset.json");
        let name = file.to_str().expect("text");
        fs::write(&file, serde_json::to_vec(&sample()).expect("JSON")).expect("a file");
        assert_eq!(read(&os(&["reset", "--request", name]), &folder), Ok(Line::Command(Box::new(sample()))));
        fs::write(&file, vec![b' '; MAX_REQUEST_BYTES + 1]).expect("a file");
        let large = read(&os(&["reset", "--request", name]), &folder);
        assert_eq!(large, Err(ArgsError::Request(RequestError::TooLarge(MAX_REQUEST_BYTES + 1))));
        fs::write(&file, b"{\"version\":\"\xff\"}").expect("a file");
        let text = read(&os(&["reset", "--request", name]), &folder).expect_err("no UTF-8").to_string();
        assert!(text.starts_with("request: ") && text.contains("utf-8"), "{text}");
        fs::remove_dir_all(&folder).expect("it is ours");
        for outside in [r"C:\Windows\evil.json", r"..\evil.json", r"\\server\share\evil.json", "/etc/passwd.json"] {
            let error = read(&os(&["reset", "--request", outside]), &folder).expect_err(outside);
            assert!(matches!(error, ArgsError::Request(RequestError::Folder { .. })), "{outside}: {error}");
        }
    }
}
