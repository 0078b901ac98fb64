//! The command line.

use crate::{Target, trust};
use clap::{Args, Parser, Subcommand};
use rustls::ClientConfig;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Asks once, from where it runs, and says in one line what came.
///
/// Exit codes: 0 as expected, 1 not as expected, 2 the arguments make no sense.
#[derive(Clone, Debug, Parser)]
#[command(name = "windlass-probe", version)]
pub struct Cli {
    /// What to ask.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can ask.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// One GET of a URL.
    Http(Http),
}

/// The arguments of `http`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Http {
    /// The URL, http or https; user info before its host is sent as basic authentication.
    ///
    /// Redirects are not followed: what this URL itself answers is what counts, and a failure names where it leads. No
    /// proxy is used, whatever variables there are.
    #[arg(long)]
    pub url: String,
    /// Statuses that are a pass, with commas between them.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', default_value = "200",
        value_parser = clap::value_parser!(u16).range(100..=599))]
    pub expect_status: Vec<u16>,
    /// Time for all of it, from the look-up of the name to the answer: `500ms`, `5s`, `1m`.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
    /// Certificate authorities that count beside Mozilla's, a PEM file.
    #[arg(long, value_name = "FILE", env = "WINDLASS_EXTRA_CA_CERTS")]
    pub extra_ca_certs: Option<PathBuf>,
}

impl Http {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// What makes no sense, by the argument's name, in one line.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let args = std::iter::once("windlass-probe".to_owned()).chain(args);
        let parsed = Cli::try_parse_from(args).map_err(|error| words(&error))?;
        let Command::Http(http) = parsed.command;
        http.check().map(|_| http)
    }

    /// Where the URL leads, and for https who may vouch for what is there.
    ///
    /// # Errors
    /// What makes no sense, by the argument's name. A URL itself is not repeated: it may have a password in it.
    pub fn check(&self) -> Result<(Target, Option<Arc<ClientConfig>>), String> {
        let target = Target::parse(&self.url).map_err(|why| format!("--url: {why}"))?;
        let trust = target.secure.then(|| trust::config(self.extra_ca_certs.as_deref())).transpose();
        Ok((target, trust.map_err(|why| format!("--extra-ca-certs: {why}"))?))
    }
}

/// Clap's own first sentence: what follows it, the usage, would be the log's last line.
pub(crate) fn words(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u32 = text[..text.len() - unit.len()].parse().map_err(|_| "not a duration like 5s")?;
    let duration = match unit {
        "ms" => Duration::from_millis(number.into()),
        "s" => Duration::from_secs(number.into()),
        "m" => Duration::from_mins(number.into()),
        _ => return Err("not a duration like 5s".to_owned()),
    };
    if duration.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(line: &str) -> Result<Http, String> {
        Http::parse(line.split_whitespace().skip(1).map(str::to_owned))
    }

    #[test]
    fn the_operators_command_is_read() {
        let full = http("windlass-probe http --url http://shop.example/ --expect-status 200,204 --timeout 500ms");
        let full = full.expect("arguments");
        assert_eq!(
            (full.url.as_str(), full.expect_status, full.timeout),
            ("http://shop.example/", vec![200, 204], Duration::from_millis(500))
        );
        let short = http("windlass-probe http --url=https://shop.example").expect("arguments");
        assert_eq!((short.expect_status, short.timeout), (vec![200], Duration::from_secs(5)));
    }

    #[test]
    fn what_makes_no_sense_is_named_in_one_line() {
        for (line, want) in [
            ("windlass-probe tcp", "tcp"),
            ("windlass-probe http", "--url"),
            ("windlass-probe http --url", "--url"),
            ("windlass-probe http --url ftp://a/", "--url: "),
            ("windlass-probe http --url http://", "--url: "),
            ("windlass-probe http --url http://a:99999/", "--url: "),
            ("windlass-probe http --url http://a/ --expect-status 99", "--expect-status"),
            ("windlass-probe http --url http://a/ --expect-status 200,x", "--expect-status"),
            ("windlass-probe http --url http://a/ --expect-status", "--expect-status"),
            ("windlass-probe http --url http://a/ --timeout 0s", "--timeout"),
            ("windlass-probe http --url http://a/ --timeout 5", "--timeout"),
            ("windlass-probe http --url http://a/ --timeout s", "--timeout"),
            ("windlass-probe http --url http://a/ --timeout 5h", "--timeout"),
            ("windlass-probe http --url http://a/ --bogus 5", "--bogus"),
            ("windlass-probe http --url https://a/ --extra-ca-certs nowhere.pem", "--extra-ca-certs: nowhere.pem"),
        ] {
            let error = http(line).expect_err(line);
            assert!(error.contains(want) && !error.contains('\n'), "{line}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = http("windlass-probe http --url ftp://joe:secret@a/").expect_err("a scheme");
        assert!(!error.contains("secret"), "{error}");
    }
}
