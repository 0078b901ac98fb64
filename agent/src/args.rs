//! The command line: `windlass-agent.exe <command> --request <base64>`.

use windlass_protocol::{Request, RequestError};

/// A command line this agent does not take. The text names the argument or field; the exit code is
/// [`windlass_protocol::exit::BAD_REQUEST`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Not `<command> --request <base64>`.
    #[error("usage: windlass-agent.exe <scan|stage|arm|collect|probe|reset> --request <base64>")]
    Usage,
    /// The sub-command is not the request's.
    #[error("command: the command line says {line:?}, the request {request:?}")]
    Command {
        /// The sub-command on the command line.
        line: String,
        /// The request's command.
        request: &'static str,
    },
    /// The request itself.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// [`ArgsError`], naming the argument or field.
pub fn parse(args: &[String]) -> Result<Request, ArgsError> {
    let (command, request) = match args {
        [command, flag, request] if flag == "--request" => (command, request.as_str()),
        [command, joined] => (command, joined.strip_prefix("--request=").ok_or(ArgsError::Usage)?),
        _ => return Err(ArgsError::Usage),
    };
    let request = Request::from_arg(request)?;
    let named = request.command.name();
    if command == named { Ok(request) } else { Err(ArgsError::Command { line: command.clone(), request: named }) }
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

    #[test]
    fn reads_both_forms_of_the_flag() {
        let arg = sample().to_arg();
        assert_eq!(parse(&line(&["reset", "--request", &arg])), Ok(sample()));
        assert_eq!(parse(&line(&["reset", &format!("--request={arg}")])), Ok(sample()));
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
}
